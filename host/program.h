// program.h: what the command line asks for, run as the main actor.
//
// What:    find_program() reads it from the configuration that Python made of its arguments; run_program() sets up
//          __main__ and sys.path as `python` does and runs the program's top level as the main actor of a runtime.
// Returns: the process's exit code. An uncaught exception has then been printed, without a frame of the launcher.
// Threads: the process's main thread, attached to the main interpreter.
#pragma once

#include <Python.h>

#include <string>
#include <vector>

namespace smarm::host {

enum class ProgramKind { command, module, package, file, standard_input };

struct Program {
    ProgramKind kind = ProgramKind::standard_input;
    std::wstring text;           // the code, the module's name or the path; absolute as Python made it
    std::string launcher;        // how messages call us: argv[0]
    bool skip_first_line = false;  // -x
};

// `config` must have been read (PyConfig_Read). Whether a path is a package shows only when Python runs.
Program find_program(const PyConfig& config, const char* launcher);

struct Outcome {
    int exit_code = 0;
    bool interrupted = false;  // an uncaught KeyboardInterrupt: the process is to end by SIGINT
};
Outcome run_program(Program& program, const std::vector<std::string>& options);

// Prints the current exception as `python` does at top level. A SystemExit ends the process here.
Outcome report_exception();

}  // namespace smarm::host
