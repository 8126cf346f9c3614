// The walk: containers whose children are taken without running Python code.
#include "codec/encoder.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {

Encoder::~Encoder() {
    while (!frames_.empty()) pop();
}

OwnedParcel Encoder::run(PyObject* value) {
    Step step = Step::Failed;
    try {
        step = walk(value);
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const TooLarge&) {
        // The exception is over before Python code runs to name the path.
        step = Step::Opened;
    }
    if (step == Step::Opened) {
        step = refuse("the value needs more than %llu bytes", static_cast<unsigned long long>(codec_.limits.bytes));
    }
    if (step == Step::Done) return builder_.finish();  // cannot throw: something has been written
    builder_.give_back();
    return nullptr;
}

// Returns Done or Failed.
Encoder::Step Encoder::walk(PyObject* value) {
    Step step = write(value);
    while (step != Step::Failed && !frames_.empty()) step = advance();
    return step;
}

// Writes children of the top frame until one opens a frame of its own, or all are written.
Encoder::Step Encoder::advance() {
    switch (frames_.top().kind) {
        case Kind::List: return advance_list();
        case Kind::Tuple: return advance_tuple();
        case Kind::Set: return advance_set();
        case Kind::Dict: return advance_dict();
        case Kind::Slice: return advance_slice();
        case Kind::Object: return advance_object();
        case Kind::Items: return advance_items();
        case Kind::Pairs: return advance_pairs();
        case Kind::Custom: return advance_custom();
    }
    Py_UNREACHABLE();
}

Encoder::Step Encoder::advance_list() {
    // `frame` stays valid while nothing is pushed, and write() pushes only when it says Opened.
    Frame& frame = frames_.top();
    while (frame.index < frame.count) {
        if (frame.index >= PyList_GET_SIZE(frame.object)) return changed("list");
        Step step = write(PyList_GET_ITEM(frame.object, frame.index++));
        if (step != Step::Done) return step;
    }
    if (PyList_GET_SIZE(frame.object) != frame.count) return changed("list");
    pop();
    return Step::Done;
}

Encoder::Step Encoder::advance_tuple() {
    Frame& frame = frames_.top();
    while (frame.index < frame.count) {
        Step step = write(PyTuple_GET_ITEM(frame.object, frame.index++));
        if (step != Step::Done) return step;
    }
    if (frame.marked) put_memo(frame.object);
    pop();
    return Step::Done;
}

Encoder::Step Encoder::advance_dict() {
    Frame& frame = frames_.top();
    for (;;) {
        if (frame.held) {
            Handle value(std::exchange(frame.held, nullptr));
            frame.phase = Phase::Value;
            Step step = write(value.get());
            if (step != Step::Done) return step;
        }
        PyObject* key;
        PyObject* value;
        if (!PyDict_Next(frame.object, &frame.index, &key, &value)) break;
        if (frame.count-- == 0) return changed("dict");
        frame.phase = Phase::Key;
        if (frame.checked && !check_attribute(frames_[frames_.size() - 2].object, key, value)) return Step::Failed;
        if (!PyUnicode_CheckExact(key)) {
            // Writing the key can run Python code that removes the value.
            frame.held = Py_NewRef(value);
            if (!may_be_key(key)) return Step::Failed;
            Step step = write(key);
            if (step != Step::Done) return step;
            continue;
        }
        write_key(key);
        frame.phase = Phase::Value;
        Step step = write(value);
        if (step != Step::Done) return step;
    }
    if (frame.count != 0) return changed("dict");
    pop();
    return Step::Done;
}

Encoder::Step Encoder::advance_set() {
    Frame& frame = frames_.top();
    const iternextfunc next = Py_TYPE(frame.held)->tp_iternext;
    while (PyObject* item = next(frame.held)) {
        // The set keeps the item alive until write() either has written it or holds it: no Python code runs before.
        Py_DECREF(item);
        if (frame.count-- == 0) return changed("set");
        if (!may_be_key(item)) return Step::Failed;
        Step step = write(item);
        if (step != Step::Done) return step;
    }
    if (PyErr_Occurred()) {
        drop_exception();
        return changed("set");
    }
    if (frame.count != 0) return changed("set");
    if (frame.marked) put_memo(frame.object);
    pop();
    return Step::Done;
}

Encoder::Step Encoder::advance_slice() {
    Frame& frame = frames_.top();
    auto* slice = reinterpret_cast<PySliceObject*>(frame.object);
    PyObject* children[] = {slice->start, slice->stop, slice->step};
    while (frame.index < 3) {
        Step step = write(children[frame.index++]);
        if (step != Step::Done) return step;
    }
    if (frame.marked) put_memo(frame.object);
    pop();
    return Step::Done;
}

Encoder::Step Encoder::open_sequence(Kind kind, Tag tag, PyObject* value, Py_ssize_t count) {
    put_number(tag, static_cast<std::uint64_t>(count));
    if (count == 0) return Step::Done;
    return push(kind, value, count);
}

Encoder::Step Encoder::open_set(Tag tag, PyObject* value) {
    Py_ssize_t count = PySet_GET_SIZE(value);
    put_number(tag, static_cast<std::uint64_t>(count));
    if (count == 0) return Step::Done;
    Handle iterator(PyObject_GetIter(value));
    if (!iterator) return Step::Failed;
    Step step = push(Kind::Set, value, count);
    if (step == Step::Opened) frames_.top().held = iterator.release();
    return step;
}

// Whether a new frame of this kind is a level of its own: an object's argument tuple and its state are the object's.
bool Encoder::is_level(Kind kind) const {
    if (kind == Kind::Items || kind == Kind::Pairs) return false;
    std::size_t size = frames_.size();
    if (size == 0) return true;
    const Frame& below = frames_[size - 1];
    if (below.kind == Kind::Object) {
        return below.phase != Phase::Arguments && below.phase != Phase::Keywords && below.phase != Phase::State;
    }
    // The two dicts of an object with slots.
    bool pair_of_state = size >= 2 && below.kind == Kind::Tuple && below.count == 2 &&
                         frames_[size - 2].kind == Kind::Object && frames_[size - 2].phase == Phase::State;
    return !pair_of_state || kind != Kind::Dict;
}

Encoder::Step Encoder::push(Kind kind, PyObject* object, Py_ssize_t count) {
    bool counted = is_level(kind);
    if (counted && depth_ >= codec_.limits.depth) {
        return refuse_depth(object);
    }
    frames_.push({object, nullptr, 0, count, kind, Phase::Value, Tag::None, false, counted, false});
    Py_INCREF(object);
    depth_ += counted;
    return Step::Opened;
}

void Encoder::pop() {
    Frame frame = frames_.pop();
    depth_ -= frame.counted;
    Py_XDECREF(frame.held);
    Py_DECREF(frame.object);
}

bool Encoder::put_ref(PyObject* value) {
    std::int64_t number = memo_.find(value);
    if (number < 0) return false;
    put_number(Tag::Ref, static_cast<std::uint64_t>(number));
    return true;
}

bool Encoder::marked_before(PyObject* value) {
    if (put_ref(value)) return true;
    memo_.add(value);
    put(Tag::Mark);
    return false;
}

bool Encoder::put_memo(PyObject* value) {
    std::int64_t number = memo_.find(value);
    if (number >= 0) {
        put_number(Tag::Use, static_cast<std::uint64_t>(number));
        return false;
    }
    memo_.add(value);
    put(Tag::Memo);
    return true;
}

}  // namespace smarm::codec
