// How the instances of a class are made again, decided by looking at the class and calling nothing.
#include <cstring>
#include <iterator>

#include "codec/data.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

constexpr const char* kOptIn = "make it a dataclass, or smarm.register_codec() it";
constexpr const char* kOwnNew = "it has a __new__ of its own; smarm.register_codec() it";
constexpr const char* kOwnState =
    "it says itself how its objects are taken apart or put together (__reduce__, __getstate__, __setstate__, ...); "
    "smarm.register_codec() it";
constexpr const char* kFinalizer = "it has a __del__, which would run in the receiver; smarm.register_codec() it";
constexpr const char* kRegistered = "it has a registered codec, and travels that way only";
constexpr const char* kAbstract = "it is abstract";

// Classes of the standard library and of smarm whose own C code or whose slots make the instances. Exactly these:
// their subclasses are classes of the program.
constexpr struct {
    const char* module;
    const char* name;
    DataKind kind;
} kKnownClasses[] = {
    {"datetime", "date", DataKind::date},
    {"datetime", "time", DataKind::time},
    {"datetime", "datetime", DataKind::datetime},
    {"datetime", "timedelta", DataKind::timedelta},
    {"datetime", "timezone", DataKind::timezone},
    {"zoneinfo", "ZoneInfo", DataKind::zone_info},
    {"decimal", "Decimal", DataKind::decimal},
    {"fractions", "Fraction", DataKind::fraction},
    {"uuid", "UUID", DataKind::uuid},
    {"smarm._signals", "Ref", DataKind::ref},
};

// Classes of smarm that are like data classes.
constexpr struct {
    const char* module;
    const char* name;
} kKnownRecords[] = {
    {"smarm.supervision.static", "Supervisor"},
    {"smarm.supervision.dynamic", "DynamicSupervisor"},
};

const char* last_name(PyTypeObject* type) {
    const char* dot = std::strrchr(type->tp_name, '.');
    return dot ? dot + 1 : type->tp_name;
}

// Returns what a loaded module's dict has under that name (borrowed), or nullptr.
PyObject* find_loaded(const char* module, const char* name) {
    PyObject* modules = PyImport_GetModuleDict();
    PyObject* found = PyDict_CheckExact(modules) ? PyDict_GetItemString(modules, module) : nullptr;
    return found && PyModule_Check(found) ? PyDict_GetItemString(PyModule_GetDict(found), name) : nullptr;
}

bool is_enum(PyTypeObject* type) {
    PyObject* meta = find_loaded("enum", "EnumType");
    return meta && PyType_Check(meta) && PyType_IsSubtype(Py_TYPE(type), reinterpret_cast<PyTypeObject*>(meta));
}

// Whether it is the class itself that has the slot, and instances have no state in C.
bool has_own_slot(PyTypeObject* type, const char* text) {
    Handle name(PyUnicode_InternFromString(text));
    PyTypeObject* owner = nullptr;
    return name && find_in_class(type, name.get(), &owner) && owner == type &&
           has_visible_state(type, &PyBaseObject_Type);
}

DataKind known_kind(PyTypeObject* type) {
    for (const auto& known : kKnownClasses) {
        if (std::strcmp(last_name(type), known.name) != 0) continue;
        if (find_loaded(known.module, known.name) != reinterpret_cast<PyObject*>(type)) continue;
        // Whoever put another class in its place meant it: that is a class of the program.
        const bool original = known.kind == DataKind::fraction ? has_own_slot(type, "_numerator")
                              : known.kind == DataKind::uuid
                                  ? has_own_slot(type, "int")
                                  : known.kind == DataKind::ref || PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE);
        if (original) return known.kind;
    }
    return DataKind::none;
}

bool is_known_record(PyTypeObject* type) {
    for (const auto& known : kKnownRecords) {
        if (std::strcmp(last_name(type), known.name) == 0 &&
            find_loaded(known.module, known.name) == reinterpret_cast<PyObject*>(type)) {
            return true;
        }
    }
    return false;
}

bool has_finalizer(Cache& cache, PyTypeObject* type) {
    return type->tp_finalize || type->tp_del || find_in_class(type, cache.del_name.get());
}

// Whether the function is one that the decorator dataclass made for frozen classes with slots.
bool is_of_dataclasses(PyObject* function) {
    if (!PyFunction_Check(function)) return false;
    PyObject* module = PyFunction_GetModule(function);
    return module && PyUnicode_CheckExact(module) && PyUnicode_EqualToUTF8(module, "dataclasses");
}

// Whether the class leaves it to `base` how its objects are taken apart and get their state.
bool has_default_state(Cache& cache, PyTypeObject* type, PyTypeObject* base) {
    for (PyObject* name : {cache.reduce_ex_name.get(), cache.reduce_name.get(), cache.new_arguments_ex_name.get()}) {
        if (!is_inherited(type, base, name)) return false;
    }
    for (PyObject* name : {cache.get_state_name.get(), cache.set_state_name.get()}) {
        if (is_inherited(type, base, name)) continue;
        PyObject* own = find_in_class(type, name);
        if (!own || !is_of_dataclasses(own)) return false;
    }
    return true;
}

DataClass refused(const char* why) {
    DataClass none;
    none.why = why;
    return none;
}

DataClass made_as(DataKind kind, PyObject* fields = nullptr) {
    DataClass found;
    found.kind = kind;
    found.fields = fields;
    return found;
}

// As collections.namedtuple and smarm's own: the class with the __new__ names the fields and is a tuple itself.
DataClass look_at_tuple(Cache& cache, PyTypeObject* type) {
    PyTypeObject* maker = nullptr;
    PyTypeObject* owner = nullptr;
    PyObject* fields = find_in_class(type, cache.fields_name.get());
    if (!fields || !PyTuple_CheckExact(fields)) return refused(kOptIn);
    find_in_class(type, cache.new_name.get(), &maker);
    find_in_class(maker, cache.fields_name.get(), &owner);
    if (owner != maker || maker->tp_base != &PyTuple_Type) return refused(kOwnNew);
    if (!has_visible_state(type, &PyTuple_Type)) return refused(kHiddenState);
    find_in_class(type, cache.new_arguments_name.get(), &owner);
    bool own_arguments = owner != maker && owner != &PyTuple_Type;
    if (own_arguments || !has_default_state(cache, type, &PyBaseObject_Type)) return refused(kOwnState);
    return made_as(DataKind::named_tuple, fields);
}

DataClass look_at_record(Cache& cache, PyTypeObject* type) {
    PyObject* fields = find_in_class(type, cache.dataclass_fields_name.get());
    if (fields ? !PyDict_CheckExact(fields) : !is_known_record(type)) return refused(kOptIn);
    if (type->tp_new != PyBaseObject_Type.tp_new) return refused(kOwnNew);
    if (PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)) return refused(kAbstract);
    if (find_in_class(type, cache.new_arguments_name.get()) || !has_default_state(cache, type, &PyBaseObject_Type)) {
        return refused(kOwnState);
    }
    if (!has_visible_state(type, &PyBaseObject_Type)) return refused(kHiddenState);
    return made_as(DataKind::record, fields);
}

// Compares addresses: a metaclass can have a __hash__.
bool is_registered(const Codec::Impl& codec, PyTypeObject* type) {
    Py_ssize_t position = 0;
    PyObject* registered;
    PyObject* codecs = codec.python_encoders.get();
    while (codecs && PyDict_Next(codecs, &position, &registered, nullptr)) {
        if (registered == reinterpret_cast<PyObject*>(type)) return true;
    }
    return false;
}

DataClass look_at(Codec::Impl& codec, PyTypeObject* type) {
    Cache& cache = codec.cache;
    if (is_registered(codec, type)) return refused(kRegistered);
    if (PyType_IsSubtype(type, &PyType_Type)) return refused("it makes classes");
    if (is_enum(type)) return made_as(has_plain_combinations(type) ? DataKind::flag : DataKind::member);
    if (has_finalizer(cache, type)) return refused(kFinalizer);
    if (const DataKind kind = known_kind(type); kind != DataKind::none) return made_as(kind);
    if (PyType_HasFeature(type, Py_TPFLAGS_BASE_EXC_SUBCLASS)) return look_at_exception(cache, type);
    if (PyType_HasFeature(type, Py_TPFLAGS_TUPLE_SUBCLASS)) return look_at_tuple(cache, type);
    return look_at_record(cache, type);
}

}  // namespace

PyObject* find_in_class(PyTypeObject* type, PyObject* name, PyTypeObject** owner) {
    PyObject* bases = type->tp_mro;
    for (Py_ssize_t index = 0; bases && index < PyTuple_GET_SIZE(bases); ++index) {
        auto* base = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(bases, index));
        Handle names(PyType_GetDict(base));
        PyObject* found = names ? PyDict_GetItemWithError(names.get(), name) : nullptr;
        if (!found) continue;
        if (owner) *owner = base;
        return found;  // the class keeps it
    }
    drop_exception();
    return nullptr;
}

bool is_inherited(PyTypeObject* type, PyTypeObject* from, PyObject* name) {
    return find_in_class(type, name) == find_in_class(from, name);
}

bool has_visible_state(PyTypeObject* type, PyTypeObject* root) {
    constexpr auto kField = static_cast<Py_ssize_t>(sizeof(PyObject*));
    Py_ssize_t size = root->tp_basicsize;
    if (type->tp_itemsize != root->tp_itemsize) return false;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(type->tp_mro); ++index) {
        auto* base = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(type->tp_mro, index));
        if (PyType_IsSubtype(root, base) || !PyType_HasFeature(base, Py_TPFLAGS_HEAPTYPE)) continue;
        PyObject* slots = reinterpret_cast<PyHeapTypeObject*>(base)->ht_slots;
        if (slots) size += PyTuple_GET_SIZE(slots) * kField;
    }
    if (type->tp_weaklistoffset > 0 && root->tp_weaklistoffset == 0) size += kField;
    if (type->tp_dictoffset != 0 && root->tp_dictoffset == 0) size += kField;
    return type->tp_basicsize <= size;
}

DataClass look_at_class(Codec::Impl& codec, PyTypeObject* type) {
    DataClass& known = known_class(codec, type);
    const bool tagged = PyUnstable_Type_AssignVersionTag(type) == 1;
    const unsigned version = type->tp_version_tag;
    DataClass found = look_at(codec, type);
    found.key = key_kind(codec.cache, type, found.kind);
    if (!tagged || version != type->tp_version_tag) return found;
    found.type = type;
    found.version = version;
    return known = found;
}

PyObject* find_slot(PyTypeObject* type, PyObject* name) {
    PyObject* found = find_in_class(type, name);
    if (!found || !Py_IS_TYPE(found, &PyMemberDescr_Type)) return nullptr;
    const PyMemberDef* member = reinterpret_cast<PyMemberDescrObject*>(found)->d_member;
    const bool object = member->type == Py_T_OBJECT_EX || member->type == 6;  // _Py_T_OBJECT, of exceptions
    const bool own = PyType_IsSubtype(type, PyDescr_TYPE(found));  // not one of another class, put into this one
    return object && own && !(member->flags & Py_READONLY) ? found : nullptr;
}

// A ClassVar and an InitVar are among the fields of a data class, too; instances have none of them.
static bool is_field(const DataClass& data, PyObject* name) {
    if (data.kind != DataKind::record || !data.fields) return false;
    PyObject* field = PyDict_GetItemWithError(data.fields, name);
    Handle kind_name(field ? PyUnicode_InternFromString("_field_type") : nullptr);
    PyObject* slot = kind_name ? find_slot(Py_TYPE(field), kind_name.get()) : nullptr;
    Handle kind(slot ? Py_TYPE(slot)->tp_descr_get(slot, field, nullptr) : nullptr);
    drop_exception();
    return kind && kind.get() == find_loaded("dataclasses", "_FIELD");
}

bool look_at_attribute(Codec::Impl& codec, PyTypeObject* type, PyObject* name, DataAttribute& place) {
    if (!PyUnicode_CheckExact(name)) return false;
    const DataClass data = data_class(codec, type);
    PyObject* hidden = is_field(data, name) ? nullptr : find_in_class(type, name);
    if (!hidden) {
        place = {data.version, Handle::share(name)};
        return true;
    }
    PyTypeObject* hidden_type = Py_TYPE(hidden);
    if (!hidden_type->tp_descr_get && !hidden_type->tp_descr_set && !hidden_type->tp_call) return true;
    // It keeps its value there.
    if (!codec.cached_property) codec.cached_property = find_known_class("functools", "cached_property");
    if (!codec.cached_property) drop_exception();
    return reinterpret_cast<PyObject*>(hidden_type) == codec.cached_property.get();
}

Handle find_known_class(const char* module, const char* name) { return Handle(import_attribute(module, name)); }

}  // namespace smarm::codec
