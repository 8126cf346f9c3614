// program.h: what the command line asks for, run as the main actor.
//
// What:    find_program() reads it from the configuration that Python made of its arguments; run_program() sets up
//          __main__ and sys.path as `python` does (pylib/smarm/_host.py) and runs the program's top level as the main
//          actor.
// Errors:  an uncaught exception has been printed, without a frame of the launcher, when run_program returns.
// Threads: the process's main thread, attached to the main interpreter.
#pragma once

#include <Python.h>

#include <string>
#include <vector>

#include "ending.h"

namespace smarm::host {

enum class ProgramKind { command, module, package, file, standard_input, interactive };

struct Program {
    ProgramKind kind = ProgramKind::standard_input;
    std::wstring text;             // the code, the module's name, or the path, absolute as Python made it
    std::string launcher;          // how messages call us: argv[0]
    bool skip_first_line = false;  // -x
    bool inspect = false;          // -i: interactive when the program has ended
};

// `config` must have been read (PyConfig_Read). Whether a path is a package shows only when Python runs.
Program find_program(const PyConfig& config, const char* launcher);

// `options` are ours, see CommandLine.
Outcome run_program(Program& program, const std::vector<std::string>& options);

}  // namespace smarm::host
