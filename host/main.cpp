// smarm-host: runs a program as `python` does, with its top level as the main actor of a smarm runtime.
//
// 1. split the arguments into ours and Python's          command_line.h
// 2. choose the `python` that sys.executable names       executable.h
// 3. make smarm._core a built-in module, start Python    builtin_core.h
// 4. run the program                                     program.h, pylib/smarm/_host.py
// 5. finalise Python, end with its exit code           ending.h
#include <Python.h>

#include <cstdio>

#include "builtin_core.h"
#include "command_line.h"
#include "ending.h"
#include "executable.h"
#include "program.h"

namespace smarm::host {
namespace {

// Ends the process when Python could not be started, or only printed something.
void check(const PyStatus& status) {
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
}

// What `python` would start with, given the arguments that are Python's.
class Configuration {
public:
    Configuration(CommandLine& line, int argc, char** argv) {
        PyConfig_InitPythonConfig(&config_);
        // First: this lets the flags in argv choose the encoding in which the rest is decoded.
        check(PyConfig_SetBytesArgv(&config_, static_cast<Py_ssize_t>(line.python.size()), line.python.data()));
        check(PyConfig_SetBytesString(&config_, &config_.program_name, argv[0]));
        check(PyConfig_SetBytesString(&config_, &config_.executable, python_executable(argv[0]).c_str()));
        for (int i = 0; i < argc; ++i) append_original_argument(argv[i]);
    }
    ~Configuration() { PyConfig_Clear(&config_); }
    Configuration(const Configuration&) = delete;
    Configuration& operator=(const Configuration&) = delete;

    PyConfig* get() { return &config_; }

private:
    // sys.orig_argv has our options, too.
    void append_original_argument(const char* text) {
        wchar_t* argument = Py_DecodeLocale(text, nullptr);
        check(argument ? PyWideStringList_Append(&config_.orig_argv, argument) : PyStatus_NoMemory());
        PyMem_RawFree(argument);
    }

    PyConfig config_;
};

Program start_python(CommandLine& line, int argc, char** argv) {
    if (!register_core()) check(PyStatus_NoMemory());
    // Read in a copy: a configuration that is read twice (starting Python does it) loses -X warn_default_encoding.
    Configuration parsed(line, argc, argv);
    check(PyConfig_Read(parsed.get()));
    Configuration config(line, argc, argv);
    check(Py_InitializeFromConfig(config.get()));
    return find_program(*parsed.get(), argv[0]);
}

int print_version() {
    std::printf("smarm-host %s (Python %s)\n", SMARM_VERSION, PY_VERSION);
    return 0;
}

int run(int argc, char** argv) {
    CommandLine line = split(argc, argv);
    if (line.version) return print_version();
    if (!line.error.empty()) {
        std::fprintf(stderr, "smarm-host: %s; try smarm-host --help\n", line.error.c_str());
        return 2;
    }
    Program program = start_python(line, argc, argv);
    return end_python(run_program(program, line.options));
}

}  // namespace
}  // namespace smarm::host

int main(int argc, char** argv) { return smarm::host::run(argc, argv); }
