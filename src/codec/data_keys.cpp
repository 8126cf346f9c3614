// Which objects may be keys of a dict and members of a set where only data travel: hashing and comparing them runs C
// code, or one of three functions of the standard library.
#include "codec/data.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

constexpr unsigned kMostLevels = 100;  // the walk is on the C stack, which is small in an actor
constexpr unsigned kMostItems = 1u << 20;

// Whether a slot is one of the built-in types that neither take part in others' comparisons nor look into their
// contents.
template <class Slot>
bool is_builtin_slot(Slot PyTypeObject::* slot, PyTypeObject* type) {
    for (PyTypeObject* builtin :
         {&PyBaseObject_Type, &PyUnicode_Type, &PyLong_Type, &PyFloat_Type, &PyComplex_Type, &PyBytes_Type,
          &PyRange_Type, &PyFrozenSet_Type, &PyType_Type, &PyFunction_Type, &PyCFunction_Type}) {
        if (type->*slot == builtin->*slot) return true;
    }
    return false;
}

bool has_builtin_slots(PyTypeObject* type) {
    return is_builtin_slot(&PyTypeObject::tp_hash, type) && is_builtin_slot(&PyTypeObject::tp_richcompare, type);
}

// Others that are compared with it may ask for its __class__.
bool has_plain_attributes(Cache& cache, PyTypeObject* type) {
    const bool generic = type->tp_getattro == PyObject_GenericGetAttr || type->tp_getattro == PyType_Type.tp_getattro;
    return generic &&
           find_in_class(type, cache.class_name.get()) == find_in_class(&PyBaseObject_Type, cache.class_name.get());
}

// Enum.__hash__ hashes the member's _name_, which must be what the enum put there.
bool is_plain_member(Cache& cache, PyTypeObject* type) {
    Handle root = find_known_class("enum", "Enum");
    if (!root || !PyType_Check(root.get())) return false;
    auto* base = reinterpret_cast<PyTypeObject*>(root.get());
    PyObject* hash = find_in_class(type, cache.hash_name.get());
    return hash && hash == find_in_class(base, cache.hash_name.get()) &&
           find_in_class(type, cache.member_name_name.get()) == find_in_class(base, cache.member_name_name.get()) &&
           type->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

// A time with a zone asks the zone for its offset.
bool has_plain_zone(Codec::Impl& codec, PyObject* time) {
    Handle zone(PyObject_GetAttrString(time, "tzinfo"));
    if (!zone) return false;
    if (zone.get() == Py_None) return true;
    const DataKind kind = data_kind(codec, Py_TYPE(zone.get()));
    return kind == DataKind::timezone || kind == DataKind::zone_info;
}

bool is_key(Codec::Impl& codec, PyObject* key, unsigned levels, unsigned& items);

bool are_keys(Codec::Impl& codec, PyObject* const* keys, Py_ssize_t count, unsigned levels, unsigned& items) {
    for (Py_ssize_t index = 0; index < count; ++index) {
        if (!is_key(codec, keys[index], levels, items)) return false;
    }
    return true;
}

bool is_key(Codec::Impl& codec, PyObject* key, unsigned levels, unsigned& items) {
    if (levels == 0 || items == 0) return false;
    --items;
    PyTypeObject* type = Py_TYPE(key);
    if (type == &PyLong_Type || type == &PyUnicode_Type || key == Py_None) return true;
    if (type == &PyTuple_Type) {
        return are_keys(codec, reinterpret_cast<PyTupleObject*>(key)->ob_item, PyTuple_GET_SIZE(key), levels - 1,
                        items);
    }
    if (PySlice_Check(key)) return are_keys(codec, &reinterpret_cast<PySliceObject*>(key)->start, 3, levels - 1, items);
    if (type == codec.pid.type) return true;
    for (const NativeType& native : codec.natives) {
        if (type == native.type) return true;
    }
    switch (ask_class(codec, type, &DataClass::key)) {
        case KeyKind::none: return false;
        case KeyKind::plain: return true;
        case KeyKind::zoned: return has_plain_zone(codec, key);
        case KeyKind::contents:
            return are_keys(codec, reinterpret_cast<PyTupleObject*>(key)->ob_item, PyTuple_GET_SIZE(key), levels - 1,
                            items);
    }
    Py_UNREACHABLE();
}

}  // namespace

KeyKind key_kind(Cache& cache, PyTypeObject* type, DataKind kind) {
    switch (kind) {
        case DataKind::date:
        case DataKind::timedelta:
        case DataKind::timezone:
        case DataKind::uuid: return KeyKind::plain;
        case DataKind::time:
        case DataKind::datetime: return KeyKind::zoned;
        default: break;
    }
    if (PyType_IsSubtype(type, &PyTuple_Type)) {
        const bool as_tuple = type->tp_hash == PyTuple_Type.tp_hash &&
                              type->tp_richcompare == PyTuple_Type.tp_richcompare && has_plain_attributes(cache, type);
        return as_tuple ? KeyKind::contents : KeyKind::none;
    }
    if (has_builtin_slots(type)) {
        const bool plain = !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || has_plain_attributes(cache, type);
        return plain ? KeyKind::plain : KeyKind::none;
    }
    const bool member = kind == DataKind::member || kind == DataKind::flag;
    return member && has_plain_attributes(cache, type) && is_plain_member(cache, type) ? KeyKind::plain : KeyKind::none;
}

bool look_at_key(Codec::Impl& codec, PyObject* key) {
    unsigned items = kMostItems;
    const bool answer = codec.cache.prepare() && is_key(codec, key, kMostLevels, items);
    if (!answer) drop_exception();
    return answer;
}

}  // namespace smarm::codec
