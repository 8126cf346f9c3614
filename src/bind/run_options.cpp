#include "bind/run_options.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace smarm::bind {
namespace {

// Bytes and numbers, seconds, what is on or off, a word, names.
using Field =
    std::variant<unsigned RuntimeConfig::*, std::size_t RuntimeConfig::*, Duration RuntimeConfig::*,
                 bool RuntimeConfig::*, std::string RuntimeConfig::*, std::vector<std::string> RuntimeConfig::*>;
struct Row {
    const char* name;
    Field field;
};

#define SMARM_OPTION(name) {#name, &RuntimeConfig::name}
constexpr Row kRows[] = {
    SMARM_OPTION(workers),
    SMARM_OPTION(stack_size),
    SMARM_OPTION(main_stack_size),
    SMARM_OPTION(warm_stacks),
    SMARM_OPTION(shutdown_timeout),
    SMARM_OPTION(spin),
    SMARM_OPTION(time_slice),
    SMARM_OPTION(stall_threshold),
    SMARM_OPTION(interrupt_after),
    SMARM_OPTION(kill_patience),
    SMARM_OPTION(mailbox_limit),
    SMARM_OPTION(mailbox_byte_limit),
    SMARM_OPTION(report_dead_letters),
    SMARM_OPTION(message_depth),
    SMARM_OPTION(message_size),
    SMARM_OPTION(buffer_pool),
    SMARM_OPTION(max_actors),
    SMARM_OPTION(max_stack_bytes),
    SMARM_OPTION(max_buffer_bytes),
    SMARM_OPTION(pickle),
    SMARM_OPTION(trusted_modules),
    SMARM_OPTION(extensions),
    SMARM_OPTION(extensions_share),
    SMARM_OPTION(extensions_private_libraries),
    SMARM_OPTION(extensions_main_only),
};
#undef SMARM_OPTION

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

// An exception is set when the value is of another type, which _config.py does not let through.
struct Read {
    RuntimeConfig& config;
    PyObject* value;
    void operator()(unsigned RuntimeConfig::* field) const {
        config.*field = static_cast<unsigned>(PyLong_AsUnsignedLong(value));
    }
    void operator()(std::size_t RuntimeConfig::* field) const { config.*field = PyLong_AsSize_t(value); }
    void operator()(Duration RuntimeConfig::* field) const { config.*field = from_seconds(PyFloat_AsDouble(value)); }
    void operator()(bool RuntimeConfig::* field) const { config.*field = PyObject_IsTrue(value) == 1; }
    void operator()(std::string RuntimeConfig::* field) const {
        if (const char* text = PyUnicode_AsUTF8(value)) config.*field = text;
    }
    void operator()(std::vector<std::string> RuntimeConfig::* field) const {
        if (const char* text = PyUnicode_AsUTF8(value)) config.*field = split_names(text);
    }
};

}  // namespace

bool read_run_options(PyObject* options, RuntimeConfig& config) {
    for (const Row& row : kRows) {
        PyObject* value = PyDict_GetItemString(options, row.name);  // borrowed
        if (!value) {
            PyErr_Format(PyExc_TypeError, "the option %s is missing", row.name);
            return false;
        }
        std::visit(Read{config, value}, row.field);
        if (PyErr_Occurred()) return false;
    }
    if (PyDict_GET_SIZE(options) == std::ssize(kRows)) return true;
    PyErr_Format(PyExc_TypeError, "there are %zd options, of which the core does not know some: it has %zd",
                 PyDict_GET_SIZE(options), static_cast<Py_ssize_t>(std::ssize(kRows)));
    return false;
}

PyObject* run_option_names() {
    PyObject* names = PyTuple_New(std::ssize(kRows));
    for (Py_ssize_t i = 0; names && i < std::ssize(kRows); ++i) {
        PyObject* name = PyUnicode_FromString(kRows[i].name);
        if (name) PyTuple_SET_ITEM(names, i, name);
        else Py_CLEAR(names);
    }
    return names;
}

}  // namespace smarm::bind
