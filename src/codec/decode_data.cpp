// Objects where only data travel: made by CPython's own code for their kind, so that nothing that the bytes say is
// called.
#include <algorithm>
#include <cstring>

#include "codec/data.h"
#include "codec/decoder.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

constexpr Py_ssize_t kLongestZone = 64;

// Whether the argument is an int, and not one of a subclass.
bool is_int(PyObject* arguments, Py_ssize_t index) { return PyLong_CheckExact(PyTuple_GET_ITEM(arguments, index)); }

// The bytes in which datetime packs its fields, or nullptr when there are not `size` of them.
const unsigned char* packed(PyObject* arguments, Py_ssize_t size) {
    const Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    PyObject* bytes = count == 1 || count == 2 ? PyTuple_GET_ITEM(arguments, 0) : nullptr;
    if (!bytes || !PyBytes_CheckExact(bytes) || PyBytes_GET_SIZE(bytes) != size) return nullptr;
    return reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(bytes));
}

int year_of(const unsigned char* at) { return at[0] << 8 | at[1]; }
int microsecond_of(const unsigned char* at) { return at[0] << 16 | at[1] << 8 | at[2]; }

// A type's own C constructor looks at few fields of the bytes that its __reduce__ gave.
bool is_date(const unsigned char* at, int month) {
    constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = year_of(at);
    if (year < 1 || year > 9999 || month < 1 || month > 12 || at[3] < 1) return false;
    if (at[3] <= 28) return true;
    const bool leap_day = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return at[3] <= kDays[month - 1] + leap_day;
}

bool is_time(const unsigned char* at, int hour) {
    return hour < 24 && at[1] < 60 && at[2] < 60 && microsecond_of(at + 3) < 1'000'000;
}

Handle make_date(PyTypeObject* type, PyObject* arguments) {
    const unsigned char* at = packed(arguments, 4);
    if (!at || PyTuple_GET_SIZE(arguments) != 1) return {};
    return is_date(at, at[2]) ? Handle(type->tp_new(type, arguments, nullptr)) : Handle();
}

Handle make_time(PyTypeObject* type, PyObject* arguments) {
    const unsigned char* at = packed(arguments, 6);
    return at && is_time(at, at[0] & 0x7f) ? Handle(type->tp_new(type, arguments, nullptr)) : Handle();
}

Handle make_datetime(PyTypeObject* type, PyObject* arguments) {
    const unsigned char* at = packed(arguments, 10);
    return at && is_date(at, at[2] & 0x7f) && is_time(at + 4, at[4]) ? Handle(type->tp_new(type, arguments, nullptr))
                                                                     : Handle();
}

Handle make_timedelta(PyTypeObject* type, PyObject* arguments) {
    const bool ints =
        PyTuple_GET_SIZE(arguments) == 3 && is_int(arguments, 0) && is_int(arguments, 1) && is_int(arguments, 2);
    return ints ? Handle(type->tp_new(type, arguments, nullptr)) : Handle();
}

Handle make_timezone(Codec::Impl& codec, PyTypeObject* type, PyObject* arguments) {
    const Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (count < 1 || count > 2) return {};
    if (data_kind(codec, Py_TYPE(PyTuple_GET_ITEM(arguments, 0))) != DataKind::timedelta) return {};
    if (count == 2 && !PyUnicode_CheckExact(PyTuple_GET_ITEM(arguments, 1))) return {};
    return Handle(type->tp_new(type, arguments, nullptr));
}

// Whether the key is a name in a data base of time zones, and no path that leads out of it.
bool is_zone_key(PyObject* key) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_CheckExact(key) ? PyUnicode_AsUTF8AndSize(key, &size) : nullptr;
    if (!text || size == 0 || size > kLongestZone || text[0] == '/' || text[size - 1] == '/') return false;
    return std::all_of(text, text + size,
                       [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                  c == '_' || c == '+' || c == '-' || c == '/';
                       }) &&
           !std::strstr(text, "//");
}

Handle make_zone(PyTypeObject* type, PyObject* arguments) {
    if (PyTuple_GET_SIZE(arguments) != 1 || !is_zone_key(PyTuple_GET_ITEM(arguments, 0))) return {};
    return Handle(type->tp_new(type, arguments, nullptr));
}

Handle make_decimal(PyTypeObject* type, PyObject* arguments) {
    const bool text = PyTuple_GET_SIZE(arguments) == 1 && PyUnicode_CheckExact(PyTuple_GET_ITEM(arguments, 0));
    return text ? Handle(type->tp_new(type, arguments, nullptr)) : Handle();
}

// Sets a slot of an object that has just been made. Neither its class's __setattr__ nor a property is asked.
bool set_slot(PyObject* object, PyObject* name, PyObject* value) {
    PyObject* slot = find_slot(Py_TYPE(object), name);
    return slot && Py_TYPE(slot)->tp_descr_set(slot, object, value) == 0;
}

bool set_slot(PyObject* object, const char* text, PyObject* value) {
    Handle name(PyUnicode_InternFromString(text));
    return name && set_slot(object, name.get(), value);
}

// As object.__new__ does for a class that is not abstract.
Handle make_empty(PyTypeObject* type) { return Handle(type->tp_alloc(type, 0)); }

// In lowest terms, as Fraction keeps it.
Handle make_fraction(Codec::Impl& codec, PyTypeObject* type, PyObject* arguments) {
    if (PyTuple_GET_SIZE(arguments) != 2 || !is_int(arguments, 0) || !is_int(arguments, 1)) return {};
    PyObject* numerator = PyTuple_GET_ITEM(arguments, 0);
    PyObject* denominator = PyTuple_GET_ITEM(arguments, 1);
    if (!codec.gcd) codec.gcd = find_known_class("math", "gcd");
    PyObject* both[] = {numerator, denominator};
    Handle common(codec.gcd ? PyObject_Vectorcall(codec.gcd.get(), both, 2, nullptr) : nullptr);
    Handle one(PyLong_FromLong(1));
    if (!common || !one || PyObject_RichCompareBool(common.get(), one.get(), Py_NE) != 0) return {};
    if (PyObject_RichCompareBool(denominator, one.get(), Py_LT) != 0) return {};
    Handle made = make_empty(type);
    const bool set =
        made && set_slot(made.get(), "_numerator", numerator) && set_slot(made.get(), "_denominator", denominator);
    return set ? std::move(made) : Handle();
}

// (128 bits, name of the uuid.SafeUUID).
Handle make_uuid(Cache& cache, PyTypeObject* type, PyObject* arguments) {
    if (PyTuple_GET_SIZE(arguments) != 2 || !is_int(arguments, 0)) return {};
    PyObject* number = PyTuple_GET_ITEM(arguments, 0);
    unsigned char bytes[16];
    constexpr int kFlags =
        Py_ASNATIVEBYTES_LITTLE_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
    const Py_ssize_t needed = PyLong_AsNativeBytes(number, bytes, sizeof bytes, kFlags);
    if (needed < 0 || needed > static_cast<Py_ssize_t>(sizeof bytes)) return {};
    Handle safety = find_known_class("uuid", "SafeUUID");
    if (!safety || !PyType_Check(safety.get())) return {};
    Handle member = find_member(cache, reinterpret_cast<PyTypeObject*>(safety.get()), PyTuple_GET_ITEM(arguments, 1));
    Handle made = member ? make_empty(type) : Handle();
    return made && set_slot(made.get(), "int", number) && set_slot(made.get(), "is_safe", member.get())
               ? std::move(made)
               : Handle();
}

Handle make_ref(PyTypeObject* type, PyObject* arguments) {
    if (PyTuple_GET_SIZE(arguments) != 1 || !is_int(arguments, 0)) return {};
    return Handle(PyLong_Type.tp_new(type, arguments, nullptr));
}

bool are_exception_arguments(Codec::Impl& codec, PyTypeObject* type, PyObject* arguments) {
    const auto takes = ask_class(codec, type, &DataClass::takes);
    return PyTuple_CheckExact(arguments) && (!takes || takes(arguments));
}

bool is_made_by(DataKind kind, Tag tag) {
    switch (kind) {
        case DataKind::none:
        case DataKind::member:
        case DataKind::flag: return false;
        case DataKind::record: return tag == Tag::Plain;
        case DataKind::exception: return tag == Tag::Exception;
        default: return tag == Tag::New;
    }
}

Handle make_named_tuple(PyTypeObject* type, PyObject* fields, PyObject* items) {
    if (PyTuple_GET_SIZE(items) != PyTuple_GET_SIZE(fields)) return {};
    Handle arguments(PyTuple_Pack(1, items));
    return arguments ? Handle(PyTuple_Type.tp_new(type, arguments.get(), nullptr)) : Handle();
}

}  // namespace

// Takes the class of an object. What instances of it are made by must fit the way in which the bytes make one.
bool Decoder::accept_data_class(BuildFrame& frame, Handle object) {
    if (!PyType_Check(object.get())) return bad("an object whose class is none"), false;
    auto* type = reinterpret_cast<PyTypeObject*>(object.get());
    if (!is_made_by(data_kind(codec_, type), frame.tag)) {
        const DataClass data = data_class(codec_, type);
        refuse_class(type, data.why ? data.why : "its objects are made in another way");
        return false;
    }
    frame.object = object.release();
    frame.await = Await::Arguments;
    if (frame.tag != Tag::Plain) return true;
    frame.await = Await::Part;
    Handle of_type(std::exchange(frame.object, make_empty(type).release()));
    return frame.object != nullptr;
}

bool Decoder::make_data(BuildFrame& frame, PyObject* arguments) {
    frame.await = Await::Part;
    auto* type = reinterpret_cast<PyTypeObject*>(frame.object);
    Handle made;
    switch (data_kind(codec_, type)) {
        case DataKind::named_tuple:
            made = make_named_tuple(type, ask_class(codec_, type, &DataClass::fields), arguments);
            break;
        case DataKind::exception:
            if (are_exception_arguments(codec_, type, arguments)) made = Handle(make_exception(type, arguments));
            break;
        case DataKind::date: made = make_date(type, arguments); break;
        case DataKind::time: made = make_time(type, arguments); break;
        case DataKind::datetime: made = make_datetime(type, arguments); break;
        case DataKind::timedelta: made = make_timedelta(type, arguments); break;
        case DataKind::timezone: made = make_timezone(codec_, type, arguments); break;
        case DataKind::zone_info: made = make_zone(type, arguments); break;
        case DataKind::decimal: made = make_decimal(type, arguments); break;
        case DataKind::fraction: made = make_fraction(codec_, type, arguments); break;
        case DataKind::uuid: made = make_uuid(cache_, type, arguments); break;
        case DataKind::ref: made = make_ref(type, arguments); break;
        case DataKind::none:
        case DataKind::record:
        case DataKind::member:
        case DataKind::flag: break;
    }
    if (!made) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) return false;
        if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError)) return false;
        drop_exception();
        Handle name(PyType_GetFullyQualifiedName(type));
        if (name) refuse("the parts of a %U are not those of one", name.get());
        return false;
    }
    Handle of_type(std::exchange(frame.object, made.release()));
    return true;
}

// Puts attributes into the object that the frame has just made: into its __dict__ and its slots, past its class.
bool Decoder::set_data_state(const BuildFrame& frame, PyObject* state) {
    PyTypeObject* type = Py_TYPE(frame.object);
    const DataKind kind = data_kind(codec_, type);
    const bool stateful = kind == DataKind::record || kind == DataKind::named_tuple || kind == DataKind::exception;
    if (!stateful) return bad("a state for an object that has none"), false;
    PyObject* parts[] = {state, Py_None};
    if (PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == 2) {
        parts[0] = PyTuple_GET_ITEM(state, 0);
        parts[1] = PyTuple_GET_ITEM(state, 1);
    }
    if (parts[1] != Py_None && kind != DataKind::record) return bad("slots for an object that has none"), false;
    for (PyObject* part : parts) {
        if (part != Py_None && !PyDict_CheckExact(part)) return bad("an object's attributes are not a dict"), false;
    }
    Py_ssize_t position = 0;
    PyObject* name;
    PyObject* value;
    while (parts[0] != Py_None && PyDict_Next(parts[0], &position, &name, &value)) {
        Handle held = Handle::share(value);
        if (!set_data_attribute(frame.object, kind, name, held.get())) return false;
    }
    position = 0;
    while (parts[1] != Py_None && PyDict_Next(parts[1], &position, &name, &value)) {
        Handle held = Handle::share(value);
        if (!PyUnicode_CheckExact(name) || !set_slot(frame.object, name, held.get())) {
            return PyErr_Occurred() ? false : (bad("a slot that its class does not have"), false);
        }
    }
    return true;
}

bool Decoder::set_data_attribute(PyObject* object, DataKind kind, PyObject* borrowed, PyObject* value) {
    PyTypeObject* type = Py_TYPE(object);
    if (!PyUnicode_CheckExact(borrowed)) return bad("an attribute whose name is no string"), false;
    PyObject* own_name = Py_NewRef(borrowed);
    PyUnicode_InternInPlace(&own_name);
    Handle name(own_name);
    if (kind == DataKind::exception) {
        if (is_exception_field(type, name.get(), value)) return set_slot(object, name.get(), value);
        PyObject* args = find_in_class(type, name.get());
        if (args && Py_IS_TYPE(args, &PyGetSetDescr_Type) &&
            PyUnicode_Compare(name.get(), cache_.args_name.get()) == 0) {
            if (!are_exception_arguments(codec_, type, value)) return bad("args that are none"), false;
            return Py_TYPE(args)->tp_descr_set(args, object, value) == 0;
        }
    }
    if (!is_data_attribute(codec_, type, name.get())) return refuse_attribute(type, name.get());
    Handle own(PyObject_GenericGetDict(object, nullptr));
    if (!own) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return false;
        drop_exception();
        return bad("an attribute for an object without a __dict__"), false;
    }
    return PyDict_SetItem(own.get(), name.get(), value) == 0;
}

bool Decoder::refuse_attribute(PyTypeObject* type, PyObject* name) {
    Handle owner(PyType_GetFullyQualifiedName(type));
    if (owner) refuse("an attribute %.200R that hides what %U has under that name", name, owner.get());
    return false;
}

// A class, then the name of a member, or the number of a combination of flags.
PyObject* Decoder::read_member() {
    Handle owner;
    Handle key;
    // A member within a member would be read on the C stack.
    if (std::exchange(in_member_, true)) return bad("a member of what is no enum");
    if (read(*owner.out()) != Step::Value || !PyType_Check(owner.get()) || read(*key.out()) != Step::Value) {
        return PyErr_Occurred() ? nullptr : bad("a member of what is no enum");
    }
    in_member_ = false;
    if (!PyUnicode_CheckExact(key.get()) && !PyLong_CheckExact(key.get())) return bad("a member without a name");
    auto* type = reinterpret_cast<PyTypeObject*>(owner.get());
    if (!cache_.prepare()) return nullptr;
    const DataKind kind = data_kind(codec_, type);
    if (kind != DataKind::member && kind != DataKind::flag) return bad("a member of what is no enum");
    Handle member;
    if (PyUnicode_CheckExact(key.get())) member = find_member(cache_, type, key.get());
    else if (kind == DataKind::flag) member = find_combination(cache_, type, key.get());
    if (!member) {
        if (PyErr_Occurred()) return nullptr;
        Handle name(PyType_GetFullyQualifiedName(type));
        if (name && PyLong_Check(key.get())) return refuse("%U has no such combination", name.get());
        return name ? refuse("%U has no member %.200R", name.get(), key.get()) : nullptr;
    }
    remember(member.get());
    return member.release();
}

PyObject* Decoder::read_data_global(PyObject* module, PyObject* name) {
    const char* why = nullptr;
    Handle found = find_data_global(codec_, module, name, travels_as_ != Names::message, &why);
    if (found) {
        remember(found.get());
        return found.release();
    }
    if (!PyErr_Occurred()) return refuse("a message cannot name %.200R of %.200R: %s", name, module, why);
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) return nullptr;
    // A listed module, or the script, fails when it is loaded.
    Handle cause(PyErr_GetRaisedException());
    refuse("%.200R of %.200R cannot be looked up: %T", name, module, cause.get());
    Handle error(PyErr_GetRaisedException());
    if (PyExceptionInstance_Check(error.get())) PyException_SetCause(error.get(), cause.release());
    PyErr_SetRaisedException(error.release());
    return nullptr;
}

std::nullptr_t Decoder::refuse_class(PyTypeObject* type, const char* why) {
    Handle name(PyType_GetFullyQualifiedName(type));
    return name ? refuse("making a %U needs a call, which is not allowed (pickle=False): %s", name.get(), why)
                : nullptr;
}

}  // namespace smarm::codec
