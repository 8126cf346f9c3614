// Objects: taken apart by the protocol of copy and pickle (__reduce_ex__), so that everything inside them, at any
// depth, goes through the same walk, with the same paths, shared references and native objects.
#include <iterator>

#include "codec/encoder.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// The parts of what __reduce_ex__ returns.
PyObject* part(PyObject* reduced, Py_ssize_t index) {
    if (index >= PyTuple_GET_SIZE(reduced)) return nullptr;
    PyObject* object = PyTuple_GET_ITEM(reduced, index);
    return object == Py_None ? nullptr : object;
}

// Whether the type's attribute is `expected`; -1 with an exception set.
int has_attribute(PyTypeObject* type, PyObject* name, PyObject* expected) {
    Handle found;
    if (PyObject_GetOptionalAttr(reinterpret_cast<PyObject*>(type), name, found.out()) < 0) return -1;
    return found.get() == expected;
}

// Whether a built-in class takes instances of this exception type apart.
bool has_builtin_reduce(PyTypeObject* type, const Cache& cache) {
    Handle reduce(PyObject_GetAttr(reinterpret_cast<PyObject*>(type), cache.reduce_name.get()));
    if (!reduce) drop_exception();
    return reduce && Py_IS_TYPE(reduce.get(), &PyMethodDescr_Type) &&
           has_attribute(type, cache.reduce_ex_name.get(), cache.object_reduce_ex.get()) == 1;
}

// What an iterator gives that has not been announced counts as so many bytes.
constexpr std::size_t kUnannounced = 1024;

// A set that goes through its items in a way of its own.
bool has_own_iterator(PyObject* value) {
    const auto* type = Py_TYPE(value);
    return PyAnySet_Check(value) && type->tp_iter != PySet_Type.tp_iter && type->tp_iter != PyFrozenSet_Type.tp_iter;
}

// A Plain object has no parts but its state, and is no exception, which would have room for more.
Phase next_phase(const Frame& frame) {
    if (frame.tag != Tag::Plain) return static_cast<Phase>(static_cast<int>(frame.phase) + 1);
    return frame.phase == Phase::Callable ? Phase::Made : frame.phase == Phase::Made ? Phase::State : Phase::End;
}

}  // namespace

Encoder::Step Encoder::write_object(PyObject* borrowed) {
    Handle value = Handle::share(borrowed);
    // Functions, classes and objects are remembered always: the code that takes an object apart can reach it again.
    if (put_ref(value.get())) return Step::Done;
    if (!cache_.prepare()) return Step::Failed;
    PyTypeObject* type = Py_TYPE(value.get());
    if (codec_.python_encoders) {
        Handle entry;
        int found = PyDict_GetItemRef(codec_.python_encoders.get(), reinterpret_cast<PyObject*>(type), entry.out());
        if (found < 0) return Step::Failed;
        if (found) return write_custom(value.get(), entry.get());
    }
    if (codec_.limits.objects == Objects::none) return unsendable(value.get(), "only built-in types are allowed here");
    if (type == &PyFunction_Type || type == &PyType_Type) return write_function_or_class(value.get());
    if (PyType_Check(value.get())) {
        // A class with a metaclass, unless copyreg knows better.
        int registered = PyDict_Contains(cache_.dispatch_table.get(), reinterpret_cast<PyObject*>(type));
        if (registered < 0) return Step::Failed;
        if (!registered) return write_function_or_class(value.get());
    }
    if (only_data()) return write_data_object(value.get());
    int plain = is_plain(type);
    if (plain < 0) return explain(value.get());
    if (plain) {
        Handle state(PyObject_GenericGetDict(value.get(), nullptr));
        if (!state) {
            if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return Step::Failed;
            drop_exception();
        }
        return open_plain(value.get(), std::move(state));
    }
    Handle reduced = reduce(value.get());
    if (!reduced) return explain(value.get());
    if (PyUnicode_Check(reduced.get())) return write_global(value.get(), reduced.get());
    return open_reduced(value.get(), std::move(reduced));
}

// `entry` is (name, encode, decode) of add_python_codec.
Encoder::Step Encoder::write_custom(PyObject* value, PyObject* entry) {
    Handle payload(PyObject_CallOneArg(PyTuple_GET_ITEM(entry, 1), value));
    if (!payload) return explain(value);
    if (codec_.main_by_value &&
        PyUnicode_Tailmatch(PyTuple_GET_ITEM(entry, 0), cache_.main_name.get(), 0, PY_SSIZE_T_MAX, -1) == 1) {
        // Nobody finds a function of this __main__ by its name: it goes along.
        Handle reduced(Py_BuildValue("(O(O))", PyTuple_GET_ITEM(entry, 2), payload.get()));
        return reduced ? open_reduced(value, std::move(reduced)) : Step::Failed;
    }
    put(Tag::Custom);
    write_name(PyTuple_GET_ITEM(entry, 0));
    if (push(Kind::Custom, value, 0) == Step::Failed) return Step::Failed;
    Frame& frame = frames_.top();
    frame.held = payload.release();
    return write(frame.held) == Step::Failed ? Step::Failed : Step::Opened;
}

Encoder::Step Encoder::advance_custom() {
    put_memo(frames_.top().object);
    pop();
    return Step::Done;
}

// Whether instances are made by class.__new__(class) and have no state but their __dict__; -1 with an exception set.
// This is what the default __reduce_ex__ would find out again for every instance.
int Encoder::is_plain(PyTypeObject* type) {
    for (PyTypeObject* known : plain_types_) {
        if (known == type) return 1;
    }
    // Without room for slots or C fields.
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || type->tp_itemsize != 0 ||
        type->tp_basicsize != PyBaseObject_Type.tp_basicsize || PyType_IsSubtype(type, &PyType_Type)) {
        return 0;
    }
    int registered = PyDict_Contains(cache_.dispatch_table.get(), reinterpret_cast<PyObject*>(type));
    if (registered) return registered < 0 ? -1 : 0;
    const struct {
        PyObject* name;
        PyObject* expected;
    } defaults[] = {
        {cache_.reduce_ex_name.get(), cache_.object_reduce_ex.get()},
        {cache_.reduce_name.get(), cache_.object_reduce.get()},
        {cache_.get_state_name.get(), cache_.object_get_state.get()},
        {cache_.new_arguments_ex_name.get(), nullptr},
        {cache_.new_arguments_name.get(), nullptr},
    };
    for (const auto& attribute : defaults) {
        int is_default = has_attribute(type, attribute.name, attribute.expected);
        if (is_default <= 0) return is_default;
    }
    add_plain(type);  // the memo is about to hold the class, which is written first of all
    return 1;
}

// `state` is its __dict__, or a pair of that and its slots, or empty.
Encoder::Step Encoder::open_plain(PyObject* value, Handle state) {
    put(Tag::Plain);
    if (push(Kind::Object, value, 0) == Step::Failed) return Step::Failed;
    Frame& frame = frames_.top();
    frame.tag = Tag::Plain;
    frame.phase = Phase::Callable;
    frame.held = state.release();
    return write(reinterpret_cast<PyObject*>(Py_TYPE(value))) == Step::Failed ? Step::Failed : Step::Opened;
}

// Returns a string (the name of a global) or a tuple if the object does as it should, or nothing with an exception set.
Handle Encoder::reduce(PyObject* value) {
    auto* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
    Handle reducer;
    if (PyDict_GetItemRef(cache_.dispatch_table.get(), type, reducer.out()) < 0) return {};
    if (!reducer && by_value_table_) {
        if (PyMapping_GetOptionalItem(by_value_table_.get(), type, reducer.out()) < 0) return {};
    }
    if (reducer) return Handle(PyObject_CallOneArg(reducer.get(), value));
    if (has_own_iterator(value) && has_builtin_reduce(Py_TYPE(value), cache_)) return reduce_set(value);
    if (PyObject_GetOptionalAttr(value, cache_.reduce_ex_name.get(), reducer.out()) < 0) return {};
    if (reducer) return Handle(PyObject_CallOneArg(reducer.get(), cache_.protocol.get()));
    if (PyObject_GetOptionalAttr(value, cache_.reduce_name.get(), reducer.out()) < 0) return {};
    if (reducer) return Handle(PyObject_CallNoArgs(reducer.get()));
    PyErr_SetString(PyExc_TypeError, "it has no __reduce_ex__");
    return {};
}

// As set.__reduce__, which makes a list of all items before the encoder sees one: an iterator without an end would hold
// the worker, and take its memory, for good.
Handle Encoder::reduce_set(PyObject* value) {
    Handle items(PyList_New(0));
    Handle iterator(PyObject_GetIter(value));
    if (!items || !iterator) return {};
    const Py_ssize_t announced = PySet_GET_SIZE(value);
    while (PyObject* next = PyIter_Next(iterator.get())) {
        Handle item(next);
        if (PyList_GET_SIZE(items.get()) >= announced) claim(kUnannounced);
        if (PyList_Append(items.get(), item.get()) != 0) return {};
    }
    Handle state(PyErr_Occurred() ? nullptr : PyObject_CallMethodNoArgs(value, cache_.get_state_name.get()));
    if (!state) return {};
    return Handle(Py_BuildValue("(O(O)O)", Py_TYPE(value), items.get(), state.get()));
}

// Fails unless `reduced` has the shape that pickle asks for.
Encoder::Step Encoder::check_reduced(PyObject* value, PyObject* reduced) {
    if (!PyTuple_Check(reduced)) return unsendable(value, "its __reduce_ex__ must return a string or a tuple");
    Py_ssize_t size = PyTuple_GET_SIZE(reduced);
    if (size < 2 || size > 6) return unsendable(value, "its __reduce_ex__ must return two to six parts");
    if (!PyCallable_Check(PyTuple_GET_ITEM(reduced, 0))) {
        return unsendable(value, "the first part of its __reduce_ex__ must be callable");
    }
    if (!PyTuple_Check(PyTuple_GET_ITEM(reduced, 1))) {
        return unsendable(value, "the second part of its __reduce_ex__ must be a tuple");
    }
    PyObject* items = part(reduced, 3);
    PyObject* pairs = part(reduced, 4);
    if ((items && !PyIter_Check(items)) || (pairs && !PyIter_Check(pairs))) {
        return unsendable(value, "the items of its __reduce_ex__ must be iterators");
    }
    return Step::Done;
}

Tag Encoder::tag_of_reduced(PyObject* value, PyObject* reduced) {
    PyObject* callable = PyTuple_GET_ITEM(reduced, 0);
    PyObject* arguments = PyTuple_GET_ITEM(reduced, 1);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    bool of_class = count > 0 && PyType_Check(PyTuple_GET_ITEM(arguments, 0));
    if (callable == cache_.new_object.get() && of_class) return Tag::New;
    if (callable == cache_.new_object_ex.get() && of_class && count == 3 &&
        PyTuple_Check(PyTuple_GET_ITEM(arguments, 1)) && PyDict_CheckExact(PyTuple_GET_ITEM(arguments, 2))) {
        return Tag::NewKeywords;
    }
    // An exception's __init__ need not accept its args: it is made again without calling a Python __init__.
    if (PyExceptionInstance_Check(value) && callable == reinterpret_cast<PyObject*>(Py_TYPE(value)) &&
        has_builtin_reduce(Py_TYPE(value), cache_)) {
        return Tag::Exception;
    }
    return Tag::Call;
}

Encoder::Step Encoder::open_reduced(PyObject* value, Handle reduced) {
    if (check_reduced(value, reduced.get()) == Step::Failed) return Step::Failed;
    Tag tag = tag_of_reduced(value, reduced.get());
    if (PyErr_Occurred()) return explain(value);
    if (only_data())
        return refuse_data(value, "it is made by a call");  // a function by value, a codec of such a __main__
    return open_parts(value, tag, std::move(reduced));
}

Encoder::Step Encoder::open_parts(PyObject* value, Tag tag, Handle reduced) {
    PyObject* callable = PyTuple_GET_ITEM(reduced.get(), 0);
    if (tag == Tag::New || tag == Tag::NewKeywords) callable = PyTuple_GET_ITEM(PyTuple_GET_ITEM(reduced.get(), 1), 0);
    put(tag);
    if (push(Kind::Object, value, 0) == Step::Failed) return Step::Failed;
    Frame& frame = frames_.top();
    frame.tag = tag;
    frame.phase = Phase::Callable;
    frame.held = reduced.release();
    return write(callable) == Step::Failed ? Step::Failed : Step::Opened;
}

// Writes the parts of an object until one opens a frame.
Encoder::Step Encoder::advance_object() {
    Frame& frame = frames_.top();
    for (;;) {
        frame.phase = next_phase(frame);
        if (frame.phase == Phase::Made && !put_memo(frame.object)) {
            // The arguments contained the object itself: that copy is complete.
            pop();
            return Step::Done;
        }
        if (frame.phase == Phase::End) break;
        Step step = write_phase(frame);
        if (step != Step::Done) return step;
    }
    if (frame.tag != Tag::Plain && PyExceptionInstance_Check(frame.object) &&
        reinterpret_cast<PyBaseExceptionObject*>(frame.object)->suppress_context) {
        put(Tag::Suppress);
    }
    put(Tag::End);
    pop();
    return Step::Done;
}

// Writes what belongs to the frame's phase, if the object has it.
Encoder::Step Encoder::write_phase(Frame& frame) {
    PyObject* reduced = frame.held;
    bool exception = PyExceptionInstance_Check(frame.object);
    switch (frame.phase) {
        case Phase::Arguments: return write_arguments(frame.tag, PyTuple_GET_ITEM(reduced, 1));
        case Phase::Keywords:
            if (frame.tag != Tag::NewKeywords) return Step::Done;
            return write(PyTuple_GET_ITEM(PyTuple_GET_ITEM(reduced, 1), 2));
        case Phase::Items: return open_iterator(Kind::Items, Tag::Items, part(reduced, 3));
        case Phase::Pairs: return open_iterator(Kind::Pairs, Tag::Pairs, part(reduced, 4));
        case Phase::State:
            if (frame.tag == Tag::Plain) return write_plain_state(reduced);
            return part(reduced, 5) ? Step::Done : write_part(Tag::State, part(reduced, 2));
        case Phase::Setter: return write_part(Tag::Setter, part(reduced, 5));
        case Phase::SetterState:
            if (!part(reduced, 5)) return Step::Done;
            return write(PyTuple_GET_ITEM(reduced, 2));
        case Phase::Cause:
            if (!exception) return Step::Done;
            return write_part(Tag::Cause, Handle(PyException_GetCause(frame.object)).get());
        case Phase::Context:
            if (!exception) return Step::Done;
            return write_part(Tag::Context, Handle(PyException_GetContext(frame.object)).get());
        default: return Step::Done;
    }
}

Encoder::Step Encoder::write_part(Tag tag, PyObject* value) {
    if (!value) return Step::Done;
    put(tag);
    return write(value);
}

Encoder::Step Encoder::write_arguments(Tag tag, PyObject* arguments) {
    // __newobj__'s arguments are the class, written already, and those of __new__; __newobj_ex__'s are (class,
    // arguments, keywords).
    if (tag == Tag::NewKeywords) arguments = PyTuple_GET_ITEM(arguments, 1);
    Py_ssize_t first = tag == Tag::New;
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    put_number(Tag::Tuple, static_cast<std::uint64_t>(count - first));
    if (count == first) return Step::Done;
    Step step = push(Kind::Tuple, arguments, count);
    if (step == Step::Opened) frames_.top().index = first;
    return step;
}

// `state` is the instance's __dict__, or nullptr if it has none.
Encoder::Step Encoder::write_plain_state(PyObject* state) {
    if (!state) return Step::Done;
    put(Tag::State);
    if (!PyDict_CheckExact(state)) return write(state);
    // The receiver copies the items: nothing can refer to this dict itself.
    Step step = open_sequence(Kind::Dict, Tag::Dict, state, PyDict_GET_SIZE(state));
    if (step == Step::Opened) frames_.top().checked = only_data();
    return step;
}

Encoder::Step Encoder::open_iterator(Kind kind, Tag tag, PyObject* iterator) {
    if (!iterator) return Step::Done;
    put(tag);
    return push(kind, iterator, 0);
}

// An iterator need not have an end. What comes that its length hint did not announce counts as large, so that one
// without an end meets the limit before it has held the worker up for long. Few items are not worth asking for the
// hint. False with an exception set.
bool Encoder::count_item(Frame& frame) {
    constexpr Py_ssize_t kFew = 64;
    if (++frame.index < kFew) return true;
    if (frame.index == kFew) {
        const Py_ssize_t left = PyObject_LengthHint(frame.object, 0);
        frame.count = frame.index + left;
        return left >= 0;
    }
    if (frame.index > frame.count) claim(frame.index == kFew + 1 ? (kFew + 1) * kUnannounced : kUnannounced);
    return true;
}

Encoder::Step Encoder::advance_items() {
    Frame& frame = frames_.top();
    while (PyObject* next = PyIter_Next(frame.object)) {
        Handle item(next);
        if (!count_item(frame)) return explain(frame.object);
        Step step = write(item.get());
        if (step != Step::Done) return step;
    }
    if (PyErr_Occurred()) return explain(frame.object);
    put(Tag::End);
    pop();
    return Step::Done;
}

Encoder::Step Encoder::advance_pairs() {
    Frame& frame = frames_.top();
    for (;;) {
        if (frame.held && frame.phase == Phase::Key) {
            frame.phase = Phase::Value;
            Step step = write(PyTuple_GET_ITEM(frame.held, 1));
            if (step != Step::Done) return step;
        }
        Handle finished(std::exchange(frame.held, PyIter_Next(frame.object)));
        if (!frame.held) break;
        if (!PyTuple_Check(frame.held) || PyTuple_GET_SIZE(frame.held) != 2) {
            return refuse("the items of a __reduce_ex__ must be pairs");
        }
        if (!count_item(frame)) return explain(frame.object);
        frame.phase = Phase::Key;
        Step step = write(PyTuple_GET_ITEM(frame.held, 0));
        if (step != Step::Done) return step;
    }
    if (PyErr_Occurred()) return explain(frame.object);
    put(Tag::End);
    pop();
    return Step::Done;
}

}  // namespace smarm::codec
