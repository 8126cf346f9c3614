#include "bind/run_options.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace smarm::bind {
namespace {

// The names between the commas; as _config.read_names writes them.
std::vector<std::string> split_names(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

}  // namespace

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
    const char* trusted_modules = "";
    double shutdown_seconds = 0;
    double spin_seconds = 0;
    double slice_seconds = 0;
    double stall_seconds = 0;
    if (!PyArg_ParseTuple(options, "InnnddddInIInnnnnps", &config.workers, &stack_bytes, &main_stack_bytes,
                          &warm_stacks, &shutdown_seconds, &spin_seconds, &slice_seconds, &stall_seconds,
                          &config.mailbox_limit, &mailbox_bytes, &config.report_dead_letters, &config.message_depth,
                          &message_bytes, &pool_bytes, &max_actors, &max_stack_bytes, &max_buffer_bytes, &pickle,
                          &trusted_modules))
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
    config.trusted_modules = split_names(trusted_modules);
    config.shutdown_timeout = from_seconds(shutdown_seconds);
    config.spin = from_seconds(spin_seconds);
    config.time_slice = from_seconds(slice_seconds);
    config.stall_threshold = from_seconds(stall_seconds);
    return true;
}

}  // namespace smarm::bind
