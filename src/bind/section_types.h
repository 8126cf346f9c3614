// section_types.h: smarm.shield and smarm.no_preempt: blocks in which an actor is not ended, or not preempted.
//
// What:    context managers written in C, so that no exit can come between a block and its end. An object counts how
//          often it was entered, and by whom: it is left by that actor only, as often, and one that is dropped before
//          gives back what it has.
#pragma once

#include <Python.h>

namespace smarm::bind {

// Makes the types for the attached interpreter and adds them to the module. False with an exception set.
bool add_section_types(PyObject* module);

}  // namespace smarm::bind
