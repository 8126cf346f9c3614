// Members of enums: looked up in what the class has, never asked of its __new__, __call__ or _missing_.
#include "codec/data.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// One of the dicts in which an enum class keeps its members; borrowed, or nullptr.
PyObject* own_dict(PyTypeObject* type, PyObject* name) {
    PyTypeObject* owner = nullptr;
    PyObject* found = find_in_class(type, name, &owner);
    return found && owner == type && PyDict_CheckExact(found) ? found : nullptr;
}

// Returns a class's int, or -1 where it is none or does not fit.
long long class_number(PyTypeObject* type, PyObject* name) {
    PyObject* found = find_in_class(type, name);
    if (!found || !PyLong_CheckExact(found)) return -1;
    int overflow;
    const long long number = PyLong_AsLongLongAndOverflow(found, &overflow);
    return overflow ? -1 : number;
}

long long number_of(PyObject* member) {
    Handle value(PyObject_GenericGetDict(member, nullptr));
    PyObject* found = value ? PyDict_GetItemString(value.get(), "_value_") : nullptr;
    drop_exception();
    if (!found || !PyLong_CheckExact(found)) return -1;
    int overflow;
    const long long number = PyLong_AsLongLongAndOverflow(found, &overflow);
    return overflow ? -1 : number;
}

// Appends the names of the members in `value` to `names`, and their bits to `covered`: single bits, or what has
// several.
bool add_names(PyObject* members, long long value, bool single, PyObject* names, long long& covered) {
    Py_ssize_t position = 0;
    PyObject* name;
    PyObject* member;
    while (PyDict_Next(members, &position, &name, &member)) {
        const long long bits = number_of(member);
        if (bits <= 0 || (bits & value) != bits || ((bits & (bits - 1)) == 0) != single) continue;
        Handle own(PyObject_GenericGetDict(member, nullptr));
        // A second name of the same member does not count.
        if (!own || PyDict_GetItemString(own.get(), "_name_") != name) continue;
        if (PyList_Append(names, name) < 0) return false;
        covered |= bits;
    }
    return true;
}

// As Flag._missing_ does, for a value all of whose bits are members.
Handle make_combination(Cache& cache, PyTypeObject* type, PyObject* members, PyObject* value, long long number) {
    Handle names(PyList_New(0));
    long long covered = 0;
    const long long singles = class_number(type, cache.singles_mask_name.get());
    if (!names || !add_names(members, number, true, names.get(), covered)) return {};
    if ((number & ~singles) != 0 && !add_names(members, number, false, names.get(), covered)) return {};
    if (covered != number) return {};
    Handle bar(PyUnicode_FromString("|"));
    Handle name(number == 0 ? Py_NewRef(Py_None) : bar ? PyUnicode_Join(bar.get(), names.get()) : nullptr);
    Handle arguments(PyType_IsSubtype(type, &PyLong_Type) ? PyTuple_Pack(1, value) : PyTuple_New(0));
    if (!name || !arguments) return {};
    PyTypeObject* base = PyType_IsSubtype(type, &PyLong_Type) ? &PyLong_Type : &PyBaseObject_Type;
    Handle made(base->tp_new(type, arguments.get(), nullptr));
    Handle own(made ? PyObject_GenericGetDict(made.get(), nullptr) : nullptr);
    if (!own || PyDict_SetItemString(own.get(), "_value_", value) < 0 ||
        PyDict_SetItemString(own.get(), "_name_", name.get()) < 0) {
        return {};
    }
    return made;
}

}  // namespace

bool has_plain_combinations(PyTypeObject* type) {
    Handle flag = find_known_class("enum", "Flag");
    Handle missing(PyUnicode_InternFromString("_missing_"));
    if (!flag || !missing || !PyType_Check(flag.get())) return drop_exception(), false;
    auto* base = reinterpret_cast<PyTypeObject*>(flag.get());
    return PyType_IsSubtype(type, base) && find_in_class(type, missing.get()) == find_in_class(base, missing.get()) &&
           (type->tp_basicsize == PyBaseObject_Type.tp_basicsize || PyType_IsSubtype(type, &PyLong_Type));
}

Handle find_member(Cache& cache, PyTypeObject* type, PyObject* name) {
    PyObject* members = own_dict(type, cache.member_map_name.get());
    PyObject* found = members && PyUnicode_CheckExact(name) ? PyDict_GetItemWithError(members, name) : nullptr;
    return found && PyObject_TypeCheck(found, type) ? Handle::share(found) : Handle();
}

Handle find_combination(Cache& cache, PyTypeObject* type, PyObject* value) {
    PyObject* by_value = own_dict(type, cache.value_map_name.get());
    PyObject* members = own_dict(type, cache.member_map_name.get());
    if (!by_value || !members || !PyLong_CheckExact(value)) return {};
    int overflow;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || number < 0 || (number & ~class_number(type, cache.flag_mask_name.get())) != 0) return {};
    PyObject* found = PyDict_GetItemWithError(by_value, value);  // its keys are ints, as Flag checks
    if (found) return PyObject_TypeCheck(found, type) ? Handle::share(found) : Handle();
    Handle made = make_combination(cache, type, members, value, number);
    if (!made) return {};
    // All combinations of one value are one object.
    return Handle::share(PyDict_SetDefault(by_value, value, made.get()));
}

}  // namespace smarm::codec
