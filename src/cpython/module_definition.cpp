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
Slots with_own_gil(const PyModuleDef_Slot* slots, bool& declared) {
    Slots changed;
    for (; slots && slots->slot != 0; ++slots) {
        if (!says_interpreters(slots->slot)) changed.push_back(*slots);
        else if (slots->value == supported()) declared = true;
    }
    changed.push_back({Py_mod_multiple_interpreters, supported()});
    changed.push_back({0, nullptr});
    return changed;
}

// What became of a definition. Never destroyed: see the owner.
struct Changed {
    Slots slots;
    bool declared = false;
};
std::mutex changed_lock;
auto& changed_definitions = *new std::unordered_map<PyModuleDef*, std::unique_ptr<Changed>>;

}  // namespace

OwnGil allow_own_gil(PyModuleDef& definition) {
    try {
        std::lock_guard guard(changed_lock);
        std::unique_ptr<Changed>& entry = changed_definitions[&definition];
        if (!entry) entry = std::make_unique<Changed>();
        if (entry->slots.empty() || definition.m_slots != entry->slots.data()) {
            entry->slots = with_own_gil(definition.m_slots, entry->declared);
            definition.m_slots = entry->slots.data();
        }
        return entry->declared ? OwnGil::declared : OwnGil::allowed;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return OwnGil::failed;
    }
}

#if SMARM_HAS_MODULE_EXPORT

namespace {

// Appends these slots but for what they say of interpreters; those below others in their place. Throws bad_alloc.
void flatten(const PySlot* slots, std::vector<PySlot>& all, bool& declared) {
    for (; slots && slots->sl_id != Py_slot_end; ++slots) {
        if (slots->sl_id == Py_slot_subslots) {
            flatten(static_cast<const PySlot*>(slots->sl_ptr), all, declared);
        } else if (slots->sl_id == Py_mod_slots) {
            auto kept =
                std::make_unique<Slots>(with_own_gil(static_cast<const PyModuleDef_Slot*>(slots->sl_ptr), declared));
            kept->erase(kept->end() - 2);  // ours is among the others
            all.push_back(*slots);
            all.back().sl_ptr = kept.release()->data();
        } else if (!says_interpreters(slots->sl_id)) {
            all.push_back(*slots);
        } else if (slots->sl_ptr == supported()) {
            declared = true;
        }
    }
}

}  // namespace

const char* module_export_prefix() noexcept { return "PyModExport_"; }

PyObject* module_of_export(void* exported, PyObject* spec, OwnGil& own_gil) {
    // SAFETY: PEP 793 gives functions of this name this type.
    const PySlot* slots = reinterpret_cast<PySlot* (*)()>(exported)();
    if (!slots) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_SystemError, "initialization of the module failed without raising an exception");
        return nullptr;
    }
    try {
        std::vector<PySlot> all;
        bool declared = false;
        flatten(slots, all, declared);
        all.push_back(PySlot_PTR(Py_mod_multiple_interpreters, supported()));
        all.push_back(PySlot{});
        own_gil = declared ? OwnGil::declared : OwnGil::allowed;
        return PyModule_FromSlotsAndSpec(all.data(), spec);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

#else

const char* module_export_prefix() noexcept { return nullptr; }

PyObject* module_of_export(void*, PyObject*, OwnGil&) { return nullptr; }

#endif

}  // namespace smarm
