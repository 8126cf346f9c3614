// Where in a value something went wrong, read off the frames of the walk.
#include "codec/encoder.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

constexpr Py_ssize_t kLongestKey = 40;    // characters of a key's repr
constexpr std::size_t kLongestPath = 24;  // steps; more are cut out in the middle

// Returns the key's repr, shortened; a key whose repr fails is named by its type.
Handle repr_of(PyObject* key) {
    Handle text(PyObject_Repr(key));
    if (!text) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) return {};
        drop_exception();
        return Handle(PyUnicode_FromFormat("<%T>", key));
    }
    if (PyUnicode_GET_LENGTH(text.get()) <= kLongestKey) return text;
    Handle start(PyUnicode_Substring(text.get(), 0, kLongestKey - 3));
    if (!start) return {};
    return Handle(PyUnicode_FromFormat("%U...", start.get()));
}

Handle text(const char* constant) { return Handle(PyUnicode_FromString(constant)); }

Handle index_step(Py_ssize_t index) { return Handle(PyUnicode_FromFormat("[%zd]", index)); }

Handle key_step(PyObject* key, bool attribute) {
    if (attribute && PyUnicode_Check(key) && PyUnicode_IsIdentifier(key)) {
        return Handle(PyUnicode_FromFormat(".%U", key));
    }
    Handle repr = repr_of(key);
    if (!repr) return {};
    return Handle(PyUnicode_FromFormat("[%U]", repr.get()));
}

// Returns the key that PyDict_Next gave before it stopped at `position`.
Handle key_before(PyObject* dict, Py_ssize_t position) {
    Py_ssize_t next = 0;
    PyObject* key = nullptr;
    while (next < position && PyDict_Next(dict, &next, &key, nullptr)) {}
    return key ? Handle::share(key) : text("?");
}

bool is_at(const Frame& frame, Phase phase) { return frame.kind == Kind::Object && frame.phase == phase; }

// Whether frame `index` is an object's __dict__: the state itself, or the first or second half of (dict, slots).
bool is_attributes(const Frames& frames, std::size_t index) {
    if (index >= 1 && is_at(frames[index - 1], Phase::State)) return true;
    return index >= 2 && is_at(frames[index - 2], Phase::State) && frames[index - 1].kind == Kind::Tuple &&
           frames[index - 1].count == 2;
}

// An object's constructor argument: a field's name where the type tells it.
Handle argument_step(const Frame& object, Py_ssize_t index, const Cache& cache) {
    if (object.tag == Tag::Exception) return Handle(PyUnicode_FromFormat(".args[%zd]", index));
    if (object.tag == Tag::New && PyTuple_Check(object.object)) {
        Handle fields;
        auto* type = reinterpret_cast<PyObject*>(Py_TYPE(object.object));
        if (PyObject_GetOptionalAttr(type, cache.fields_name.get(), fields.out()) < 0) return {};
        // __new__'s first argument is the class.
        if (fields && PyTuple_Check(fields.get()) && index - 1 < PyTuple_GET_SIZE(fields.get())) {
            return key_step(PyTuple_GET_ITEM(fields.get(), index - 1), true);
        }
    }
    return Handle(PyUnicode_FromFormat(".__reduce_ex__()[1][%zd]", index));
}

Handle object_step(const Frame& frame, const Frame* child) {
    switch (frame.phase) {
        case Phase::Callable: return text(frame.tag == Tag::Call ? ".__reduce_ex__()[0]" : ".__class__");
        case Phase::Keywords: return text(".__getnewargs_ex__()[1]");
        case Phase::State:
            if (child && (child->kind == Kind::Dict || (child->kind == Kind::Tuple && child->count == 2)))
                return text("");
            return text(".__getstate__()");
        case Phase::Setter: return text(".__reduce_ex__()[5]");
        case Phase::SetterState: return text(".__reduce_ex__()[2]");
        case Phase::Cause: return text(".__cause__");
        case Phase::Context: return text(".__context__");
        default: return text("");  // the child names the step
    }
}

// Returns the step from a frame to the child it is writing.
Handle step_of(const Frames& frames, std::size_t index, const Cache& cache) {
    const Frame& frame = frames[index];
    switch (frame.kind) {
        case Kind::List:
        case Kind::Items: return index_step(frame.index - 1);
        case Kind::Tuple:
            if (index >= 1 && is_at(frames[index - 1], Phase::Arguments)) {
                return argument_step(frames[index - 1], frame.index - 1, cache);
            }
            if (index >= 1 && is_at(frames[index - 1], Phase::State) && frame.count == 2) return text("");
            return index_step(frame.index - 1);
        case Kind::Set: return text("{...}");
        case Kind::Dict: {
            if (frame.phase == Phase::Key) return text(".keys()");
            Handle key = key_before(frame.object, frame.index);
            return key ? key_step(key.get(), is_attributes(frames, index)) : Handle();
        }
        case Kind::Pairs:
            if (frame.phase == Phase::Key || !frame.held || !PyTuple_Check(frame.held)) return text(".keys()");
            return key_step(PyTuple_GET_ITEM(frame.held, 0), false);
        case Kind::Slice: return text(frame.index == 1 ? ".start" : frame.index == 2 ? ".stop" : ".step");
        case Kind::Object: return object_step(frame, index + 1 < frames.size() ? &frames[index + 1] : nullptr);
        case Kind::Custom: return text("");
    }
    Py_UNREACHABLE();
}

}  // namespace

PyObject* path_of(const Frames& frames, const char* root, const Cache& cache) {
    Handle path(PyUnicode_FromString(root));
    for (std::size_t index = 0; path && index < frames.size(); ++index) {
        Handle step;
        if (frames.size() > kLongestPath && index == kLongestPath / 2) {
            step = text("...");
            index = frames.size() - kLongestPath / 2 - 1;
        } else {
            step = step_of(frames, index, cache);
        }
        if (!step) return nullptr;
        path = Handle(PyUnicode_Concat(path.get(), step.get()));
    }
    return path.release();
}

}  // namespace smarm::codec
