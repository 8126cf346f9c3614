#include "bind/run_options.h"

namespace smarm::bind {

bool read_run_options(PyObject* options, RuntimeConfig& config) {
    Py_ssize_t stack_bytes = 0;
    Py_ssize_t main_stack_bytes = 0;
    Py_ssize_t warm_stacks = 0;
    Py_ssize_t mailbox_bytes = 0;
    Py_ssize_t message_bytes = 0;
    Py_ssize_t pool_bytes = 0;
    Py_ssize_t max_actors = 0;
    Py_ssize_t max_stack_bytes = 0;
    Py_ssize_t max_buffer_bytes = 0;
    int pickle = 1;
    double shutdown_seconds = 0;
    double spin_seconds = 0;
    double slice_seconds = 0;
    double stall_seconds = 0;
    double interrupt_seconds = 0;
    double kill_seconds = 0;
    if (!PyArg_ParseTuple(options, "InnnddddddInIInnnnnp", &config.workers, &stack_bytes, &main_stack_bytes, &warm_stacks,
                          &shutdown_seconds, &spin_seconds, &slice_seconds, &stall_seconds, &interrupt_seconds, &kill_seconds,
                          &config.mailbox_limit,
                          &mailbox_bytes, &config.report_dead_letters, &config.message_depth, &message_bytes,
                          &pool_bytes, &max_actors, &max_stack_bytes, &max_buffer_bytes, &pickle))
        return false;
    config.stack_bytes = static_cast<std::size_t>(stack_bytes);
    config.main_stack_bytes = static_cast<std::size_t>(main_stack_bytes);
    config.warm_stacks = static_cast<std::size_t>(warm_stacks);
    config.mailbox_bytes = static_cast<std::size_t>(mailbox_bytes);
    config.message_bytes = static_cast<std::size_t>(message_bytes);
    config.buffer_pool_bytes = static_cast<std::size_t>(pool_bytes);
    config.max_actors = static_cast<std::size_t>(max_actors);
    config.max_stack_bytes = static_cast<std::size_t>(max_stack_bytes);
    config.max_buffer_bytes = static_cast<std::size_t>(max_buffer_bytes);
    config.pickle = pickle != 0;
    config.shutdown_timeout = from_seconds(shutdown_seconds);
    config.spin = from_seconds(spin_seconds);
    config.time_slice = from_seconds(slice_seconds);
    config.stall_threshold = from_seconds(stall_seconds);
    config.interrupt_after = from_seconds(interrupt_seconds);
    config.kill_patience = from_seconds(kill_seconds);
    return true;
}

}  // namespace smarm::bind
