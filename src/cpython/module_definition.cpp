#include "cpython/module_definition.h"

#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "cpython/py_compat.h"

namespace smarm {
namespace {

// 3.15 has given it another number, and takes the old one as well.
bool says_interpreters(int slot) noexcept { return slot == 3 || slot == Py_mod_multiple_interpreters; }

void* supported() noexcept { return const_cast<void*>(static_cast<const void*>(Py_MOD_PER_INTERPRETER_GIL_SUPPORTED)); }

using Slots = std::vector<PyModuleDef_Slot>;

// The slots with ours for theirs. Throws bad_alloc.
Slots with_own_gil(const PyModuleDef_Slot* slots) {
    Slots changed;
    for (; slots && slots->slot != 0; ++slots)
        if (!says_interpreters(slots->slot)) changed.push_back(*slots);
    changed.push_back({Py_mod_multiple_interpreters, supported()});
    changed.push_back({0, nullptr});
    return changed;
}

// What definitions have now. Never destroyed: see the owner.
std::mutex changed_lock;
auto& changed_definitions = *new std::unordered_map<PyModuleDef*, Slots>;

}  // namespace

bool allow_own_gil(PyModuleDef& definition) {
    try {
        std::lock_guard guard(changed_lock);
        Slots& slots = changed_definitions[&definition];
        if (!slots.empty() && definition.m_slots == slots.data()) return true;
        slots = with_own_gil(definition.m_slots);
        definition.m_slots = slots.data();
        return true;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return false;
    }
}

#if SMARM_HAS_MODULE_EXPORT

namespace {

// Appends these slots but for what they say of interpreters; those below others in their place. Throws bad_alloc.
void flatten(const PySlot* slots, std::vector<PySlot>& all) {
    for (; slots && slots->sl_id != Py_slot_end; ++slots) {
        if (slots->sl_id == Py_slot_subslots) {
            flatten(static_cast<const PySlot*>(slots->sl_ptr), all);
        } else if (slots->sl_id == Py_mod_slots) {
            auto kept = std::make_unique<Slots>(with_own_gil(static_cast<const PyModuleDef_Slot*>(slots->sl_ptr)));
            kept->erase(kept->end() - 2);  // ours is among the others
            all.push_back(*slots);
            all.back().sl_ptr = kept.release()->data();
        } else if (!says_interpreters(slots->sl_id)) {
            all.push_back(*slots);
        }
    }
}

PyObject* module_of_slots(const PySlot* slots, PyObject* spec) noexcept {
    try {
        std::vector<PySlot> all;
        flatten(slots, all);
        all.push_back(PySlot_PTR(Py_mod_multiple_interpreters, supported()));
        all.push_back(PySlot{});
        return PyModule_FromSlotsAndSpec(all.data(), spec);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

}  // namespace

const char* module_export_prefix() noexcept { return "PyModExport_"; }

PyObject* module_of_export(void* exported, PyObject* spec) {
    // SAFETY: PEP 793 gives functions of this name this type.
    const PySlot* slots = reinterpret_cast<PySlot* (*)()>(exported)();
    if (!slots) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_SystemError, "initialization of the module failed without raising an exception");
        return nullptr;
    }
    return module_of_slots(slots, spec);
}

void* module_of_slots_function() noexcept { return reinterpret_cast<void*>(module_of_slots); }

#else

const char* module_export_prefix() noexcept { return nullptr; }

PyObject* module_of_export(void*, PyObject*) { return nullptr; }

void* module_of_slots_function() noexcept { return nullptr; }

#endif

}  // namespace smarm
