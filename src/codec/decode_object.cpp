// Objects: made and filled as pickle does it, from the parts that the encoder wrote.
#include "codec/data.h"
#include "codec/decoder.h"
#include "codec/globals.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// Names of attributes are interned, as in objects that were made here.
Handle interned(PyObject* name) {
    PyObject* key = Py_NewRef(name);
    if (PyUnicode_CheckExact(key)) PyUnicode_InternInPlace(&key);
    return Handle(key);
}

// Adds what was being done to a pending exception.
void note_global(PyObject* module, PyObject* name) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return;
    Handle error(PyErr_GetRaisedException());
    Handle note(PyUnicode_FromFormat("while decoding a value that refers to %U.%U", module, name));
    Handle done(note ? PyObject_CallMethod(error.get(), "add_note", "O", note.get()) : nullptr);
    drop_exception();
    PyErr_SetRaisedException(error.release());
}

// As its attribute of that name, which a class may have replaced.
void set_suppress_context(PyObject* exception, bool suppress) {
    reinterpret_cast<PyBaseExceptionObject*>(exception)->suppress_context = suppress;
}

}  // namespace

PyObject* Decoder::read_global_name() {
    std::uint8_t byte;
    if (!reader_.byte(byte)) return bad("a name is cut off");
    auto tag = static_cast<Tag>(byte);
    if (tag != Tag::String1 && tag != Tag::String2 && tag != Tag::String4) return bad("a name is not a string");
    return read_string(tag);
}

PyObject* Decoder::read_global() {
    if (codec_.limits.objects == Objects::none)
        return bad("a reference to a function or class, which is not allowed here");
    Handle module(read_global_name());
    if (!module) return nullptr;
    Handle name(read_global_name());
    if (!name || !cache_.prepare()) return nullptr;
    const bool function_of_spawn = travels_as_ == Names::function && frames_.empty();
    if (only_data() && !function_of_spawn) return read_data_global(module.get(), name.get());
    Handle found = find_global(cache_, module.get(), name.get());
    if (!found) {
        note_global(module.get(), name.get());
        return nullptr;
    }
    remember(found.get());
    return found.release();
}

Decoder::Step Decoder::open_object(Tag tag) {
    if (codec_.limits.objects == Objects::none)
        return fail("an object of another than the built-in types, which is not allowed");
    if (only_data() && (tag == Tag::Call || tag == Tag::NewKeywords)) return fail("a call, which is not allowed");
    if (!cache_.prepare()) return Step::Failed;
    return push(Build::Object, nullptr, 0, tag, false);
}

Decoder::Step Decoder::fill_object(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    for (;;) {
        if (value && !accept(frame, Handle(std::exchange(value, nullptr)))) return Step::Failed;
        bool done = false;
        if (!next_part(frame, value, done)) return Step::Failed;
        if (done) {
            pop();
            return Step::Value;
        }
        Step step = Step::Value;
        if (frame.await == Await::State && frame.tag == Tag::Plain) {
            step = open_attributes(frame);
            if (step != Step::Value) return step;
        }
        step = read(value);
        if (step != Step::Value) return step;
    }
}

// Opens the object's own __dict__ to be filled directly. Returns Value if that cannot be.
Decoder::Step Decoder::open_attributes(BuildFrame& frame) {
    if (reader_.peek() != static_cast<int>(Tag::Dict)) return Step::Value;
    Handle own;
    if (only_data()) {
        own = Handle(PyObject_GenericGetDict(frame.object, nullptr));
        if (!own) return drop_exception(), Step::Value;
    } else {
        Handle set_state;
        if (PyObject_GetOptionalAttr(frame.object, cache_.set_state_name.get(), set_state.out()) < 0) {
            return Step::Failed;
        }
        if (set_state) return Step::Value;
        own = Handle(PyObject_GetAttr(frame.object, cache_.dict_name.get()));
        if (!own) return Step::Failed;
    }
    if (!PyDict_CheckExact(own.get())) return Step::Value;
    std::uint8_t tag;
    std::uint64_t count;
    if (!reader_.byte(tag) || !reader_.varint(count)) return fail("a count is cut off");
    if (!claim(count, 2)) return Step::Failed;
    frame.await = Await::Part;
    return push(Build::Attributes, own.release(), static_cast<Py_ssize_t>(count), Tag::Dict, false);
}

// Takes the child that the frame waited for.
bool Decoder::accept(BuildFrame& frame, Handle child) {
    switch (frame.await) {
        case Await::Callable: return accept_callable(frame, std::move(child));
        case Await::Arguments:
            if (!PyTuple_CheckExact(child.get())) return bad("arguments are not a tuple"), false;
            if (frame.tag != Tag::NewKeywords) return make(frame, child.get(), nullptr);
            frame.extra = child.release();
            frame.await = Await::Keywords;
            return true;
        case Await::Keywords:
            if (!PyDict_CheckExact(child.get())) return bad("keyword arguments are not a dict"), false;
            return make(frame, Handle(std::exchange(frame.extra, nullptr)).get(), child.get());
        case Await::Item: return append_item(frame, child.get());
        case Await::PairKey:
            frame.extra = child.release();
            frame.await = Await::PairValue;
            return true;
        case Await::PairValue:
            frame.await = Await::PairKey;
            return set_item(frame.object, Handle(std::exchange(frame.extra, nullptr)).get(), child.get());
        case Await::State:
            frame.await = Await::Part;
            return only_data() ? set_data_state(frame, child.get()) : set_state(frame, child.get());
        case Await::Setter:
            frame.extra = child.release();
            frame.await = Await::SetterState;
            return true;
        case Await::SetterState: {
            frame.await = Await::Part;
            Handle setter(std::exchange(frame.extra, nullptr));
            PyObject* arguments[] = {frame.object, child.get()};
            return static_cast<bool>(Handle(PyObject_Vectorcall(setter.get(), arguments, 2, nullptr)));
        }
        case Await::Cause:
        case Await::Context: return set_cause(frame, std::move(child));
        case Await::Part: break;
    }
    Py_UNREACHABLE();
}

bool Decoder::accept_callable(BuildFrame& frame, Handle callable) {
    if (only_data()) return accept_data_class(frame, std::move(callable));
    bool is_class = frame.tag == Tag::Call || PyType_Check(callable.get());
    if (!is_class) return bad("an object whose class is none"), false;
    frame.object = callable.release();
    frame.await = Await::Arguments;
    if (frame.tag != Tag::Plain) return true;
    return make(frame, cache_.no_arguments.get(), nullptr);
}

// Calls what the frame holds and puts the new object in its place.
bool Decoder::make(BuildFrame& frame, PyObject* arguments, PyObject* keywords) {
    if (only_data()) return make_data(frame, arguments);
    frame.await = Await::Part;
    Handle made;
    auto* type = reinterpret_cast<PyTypeObject*>(frame.object);
    if (frame.tag == Tag::Call) {
        made = Handle(PyObject_Call(frame.object, arguments, nullptr));
    } else if (frame.tag == Tag::Exception) {
        made = Handle(make_exception(type, arguments));
    } else if (!type->tp_new) {
        bad("an object of a class that makes no objects");
    } else {
        made = Handle(type->tp_new(type, arguments, keywords));
    }
    if (!made) return false;
    Handle callable(std::exchange(frame.object, made.release()));
    return true;
}

// Makes an exception as its built-in base class would: `arguments` are what that class was given, while the __init__
// of a class written in Python may want others, and its work is in the __dict__ that follows.
PyObject* Decoder::make_exception(PyTypeObject* type, PyObject* arguments) {
    if (!PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(PyExc_BaseException))) {
        return bad("an exception of another class");
    }
    PyTypeObject* base = builtin_base(type);
    Handle made(base->tp_new(type, arguments, nullptr));
    if (!made) return nullptr;
    if (!PyExceptionInstance_Check(made.get())) return bad("an exception that is none");
    if (base->tp_init(made.get(), arguments, nullptr) < 0) {
        // A class that hid its base's arguments: what that base would have made of them stays empty.
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) return nullptr;
        drop_exception();
    }
    return made.release();
}

bool Decoder::next_part(BuildFrame& frame, PyObject*& value, bool& done) {
    if (frame.await == Await::Item || frame.await == Await::PairKey) {
        if (reader_.peek() != static_cast<int>(Tag::End)) return true;
        frame.await = Await::Part;
        std::uint8_t end;
        if (!reader_.byte(end)) return false;
    }
    while (frame.await == Await::Part) {
        std::uint8_t byte;
        if (!reader_.byte(byte)) return bad("an object is cut off"), false;
        const auto part = static_cast<Tag>(byte);
        switch (part) {
            case Tag::Memo: remember(frame.object); break;
            case Tag::Use:
                value = read_ref();
                done = true;
                return value != nullptr;
            case Tag::Items:
            case Tag::Pairs:
                // Of what is no list or dict: those are not objects here.
                if (only_data()) return bad("a call, which is not allowed"), false;
                frame.await = part == Tag::Items ? Await::Item : Await::PairKey;
                return next_part(frame, value, done);
            case Tag::State: frame.await = Await::State; break;
            case Tag::Setter:
                if (only_data()) return bad("a call, which is not allowed"), false;
                frame.await = Await::Setter;
                break;
            case Tag::Cause: frame.await = Await::Cause; break;
            case Tag::Context: frame.await = Await::Context; break;
            case Tag::Suppress:
                if (PyExceptionInstance_Check(frame.object)) set_suppress_context(frame.object, true);
                break;
            case Tag::End:
                value = std::exchange(frame.object, nullptr);
                done = true;
                return true;
            default: return bad("an unknown part of an object"), false;
        }
    }
    return true;
}

bool Decoder::append_item(BuildFrame& frame, PyObject* item) {
    if (PyList_CheckExact(frame.object)) return PyList_Append(frame.object, item) == 0;
    PyObject* arguments[] = {frame.object, item};
    return static_cast<bool>(Handle(PyObject_VectorcallMethod(cache_.append_name.get(), arguments, 2, nullptr)));
}

bool Decoder::set_item(PyObject* object, PyObject* key, PyObject* item) {
    if (!add_key(key)) return false;
    return PyObject_SetItem(object, key, item) == 0;
}

// The state goes to __setstate__, or into __dict__, or, where it is a pair, also into slots.
bool Decoder::set_state(const BuildFrame& frame, PyObject* state) {
    Handle set_state;
    if (PyObject_GetOptionalAttr(frame.object, cache_.set_state_name.get(), set_state.out()) < 0) return false;
    bool exception = frame.tag == Tag::Exception && PyDict_CheckExact(state);
    if (exception && set_state && PyCFunction_Check(set_state.get())) {
        // BaseException.__setstate__ without the class's own __setattr__, which may refuse (a frozen dataclass).
        return set_attributes(frame.object, state);
    }
    if (set_state) return static_cast<bool>(Handle(PyObject_CallOneArg(set_state.get(), state)));
    Handle slots;
    Handle attributes = Handle::share(state);
    if (PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == 2) {
        attributes = Handle::share(PyTuple_GET_ITEM(state, 0));
        slots = Handle::share(PyTuple_GET_ITEM(state, 1));
    }
    if (attributes.get() != Py_None) {
        if (!PyDict_CheckExact(attributes.get())) return bad("an object's attributes are not a dict"), false;
        Handle own(PyObject_GetAttr(frame.object, cache_.dict_name.get()));
        if (!own) return false;
        Py_ssize_t position = 0;
        PyObject* name;
        PyObject* value;
        while (PyDict_Next(attributes.get(), &position, &name, &value)) {
            Handle key = interned(name);
            Handle item = Handle::share(value);
            int failed = PyDict_CheckExact(own.get()) ? PyDict_SetItem(own.get(), key.get(), item.get())
                                                      : PyObject_SetItem(own.get(), key.get(), item.get());
            if (failed) return false;
        }
    }
    if (!slots || slots.get() == Py_None) return true;
    if (!PyDict_CheckExact(slots.get())) return bad("an object's slots are not a dict"), false;
    Py_ssize_t position = 0;
    PyObject* name;
    PyObject* value;
    while (PyDict_Next(slots.get(), &position, &name, &value)) {
        Handle key = interned(name);
        Handle item = Handle::share(value);
        if (PyObject_SetAttr(frame.object, key.get(), item.get()) < 0) return false;
    }
    return true;
}

bool Decoder::set_attributes(PyObject* object, PyObject* attributes) {
    Py_ssize_t position = 0;
    PyObject* name;
    PyObject* value;
    while (PyDict_Next(attributes, &position, &name, &value)) {
        Handle key = interned(name);
        Handle item = Handle::share(value);
        if (PyObject_GenericSetAttr(object, key.get(), item.get()) < 0) return false;
    }
    return true;
}

bool Decoder::set_cause(BuildFrame& frame, Handle exception) {
    bool cause = frame.await == Await::Cause;
    frame.await = Await::Part;
    if (!PyExceptionInstance_Check(exception.get())) return bad("an exception's cause is none"), false;
    // What the encoder took for an exception may have become something else.
    if (!PyExceptionInstance_Check(frame.object))
        return !only_data() || (bad("a cause of what is no exception"), false);
    if (!cause) {
        PyException_SetContext(frame.object, exception.release());
        return true;
    }
    PyException_SetCause(frame.object, exception.release());
    // A cause also suppresses the context; whether it did is a part of its own.
    set_suppress_context(frame.object, false);
    return true;
}

// Returns the decoding function that the name "module:qualified.name" stands for.
Handle Decoder::find_decoder(PyObject* name) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    Py_ssize_t colon = PyUnicode_FindChar(name, ':', 0, length, 1);
    Handle module(colon < 0 ? nullptr : PyUnicode_Substring(name, 0, colon));
    if (PyErr_Occurred() || !cache_.prepare()) return {};
    if (only_data()) return find_registered(module, name);
    if (colon < 0 || codec_.limits.objects != Objects::any) {
        bad("a value of a codec that is not registered here");
        return {};
    }
    Handle qualified_name(PyUnicode_Substring(name, colon + 1, length));
    if (!qualified_name) return {};
    Handle found = find_global(cache_, module.get(), qualified_name.get());
    if (!found) note_global(module.get(), qualified_name.get());
    return found;
}

// Returns the function that is registered in this interpreter, once the module is loaded, if a message may load it.
Handle Decoder::find_registered(const Handle& module, PyObject* name) {
    const bool may_load = module && (travels_as_ != Names::message || is_main(cache_, module.get()) ||
                                     is_trusted_module(codec_, module.get()));
    if (may_load && !Handle(find_module(cache_, module.get()))) return {};
    Handle decode;
    if (may_load && codec_.python_decoders && PyDict_GetItemRef(codec_.python_decoders.get(), name, decode.out()) < 0) {
        return {};
    }
    if (!decode) {
        refuse(
            "a value of a codec that is not registered here, %.200R: import its module where it is received, or list "
            "it in "
            "trusted_modules",
            name);
    }
    return decode;
}

Decoder::Step Decoder::open_custom() {
    Handle name(read_global_name());
    if (!name) return Step::Failed;
    Handle decode;
    if (codec_.python_decoders && PyDict_GetItemRef(codec_.python_decoders.get(), name.get(), decode.out()) < 0) {
        return Step::Failed;
    }
    if (!decode) decode = find_decoder(name.get());
    if (!decode) return Step::Failed;
    return push(Build::Custom, decode.release(), 1, Tag::Custom, true);
}

Decoder::Step Decoder::fill_custom(PyObject*& value) {
    if (!value) return read(value);
    BuildFrame& frame = frames_.top();
    Handle payload(std::exchange(value, nullptr));
    Handle made(PyObject_CallOneArg(frame.object, payload.get()));
    if (!made) return Step::Failed;
    Handle decode(std::exchange(frame.object, made.release()));
    return finish(value);
}

}  // namespace smarm::codec
