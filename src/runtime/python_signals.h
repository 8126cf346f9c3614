// python_signals.h: Python's side of the signals that a runtime takes over, in the main interpreter.
//
// What:    a C handler (Python's or ours, see signals.h) only marks a signal as come; Python calls its own handler for
//          it when it next looks: in a blocking call that the signal interrupted, or where the rider makes it look
//          (PyRider::notice_signals). replace_default_handler() makes that handler the runtime's.
// Threads: the process's main thread, attached to the main interpreter.
#pragma once

#include <Python.h>

namespace smarm {

// Python's handler of the signal (new reference), or nullptr.
PyObject* current_handler(int number);

// Whether Python handles the signal as it does on its own: SIGINT by KeyboardInterrupt, others as the system does (or
// SIGQUIT is ignored).
bool has_default_handler(int number);

// Returns false, without an exception, when it could not be replaced. `handler` is called with the number and a frame.
bool replace_default_handler(int number, PyObject* handler);

// Undoes replace_default_handler, unless the program has installed another handler meanwhile.
void put_back_default_handler(int number, PyObject* handler);

// Makes Python's C handlers write each signal's number to `descriptor`. Returns the one that they wrote to before, or
// -1.
int replace_wake_up_descriptor(int descriptor);

// Undoes it, unless the program has set another one meanwhile.
void put_back_wake_up_descriptor(int descriptor, int previous);

}  // namespace smarm
