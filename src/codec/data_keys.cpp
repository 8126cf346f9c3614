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
    return type->tp_getattro == PyObject_GenericGetAttr &&
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
    const DataKind kind = data_class(codec, Py_TYPE(zone.get())).kind;
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
    if (PySlice_Check(key)) return are_keys(codec, &reinterpret_cast<PySliceObject*>(key)->start, 3, levels - 1, items);
    if (PyTuple_Check(key)) {
        return type->tp_hash == PyTuple_Type.tp_hash && type->tp_richcompare == PyTuple_Type.tp_richcompare &&
               has_plain_attributes(codec.cache, type) &&
               are_keys(codec, reinterpret_cast<PyTupleObject*>(key)->ob_item, PyTuple_GET_SIZE(key), levels - 1,
                        items);
    }
    if (key == Py_None || key == Py_Ellipsis || key == Py_NotImplemented) return true;
    if (PyType_Check(key)) return has_builtin_slots(type) && type->tp_getattro == PyType_Type.tp_getattro;
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && has_builtin_slots(type)) return true;
    if (type == codec.pid.type) return true;
    for (const NativeType& native : codec.natives) {
        if (type == native.type) return true;
    }
    switch (data_class(codec, type).kind) {
        case DataKind::date:
        case DataKind::timedelta:
        case DataKind::timezone:
        case DataKind::uuid: return true;
        case DataKind::time:
        case DataKind::datetime: return has_plain_zone(codec, key);
        case DataKind::member:
        case DataKind::flag:
            return has_plain_attributes(codec.cache, type) &&
                   (has_builtin_slots(type) || is_plain_member(codec.cache, type));
        default: return has_builtin_slots(type) && has_plain_attributes(codec.cache, type);
    }
}

}  // namespace

bool is_data_key(Codec::Impl& codec, PyObject* key) {
    unsigned items = kMostItems;
    bool answer = is_key(codec, key, kMostLevels, items);
    drop_exception();
    return answer;
}

}  // namespace smarm::codec
