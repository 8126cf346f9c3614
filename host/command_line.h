// command_line.h: which arguments are smarm-host's own, and which are Python's.
//
// What:    split() takes "--name value", "--name=value", "--no-name" (as "--name=0"), -h, --help, -V and --version out
//          of what stands before the script; everything else (the interpreter's short options, the script and its
//          arguments) is left for Python to parse.
// Not:     the options' names and limits, which only pylib/smarm/_config.py knows: each long option takes one value
//          here.
// Errors:  a long option without its value: `error` says so. Borrows argv, which must outlive the result.
#pragma once

#include <string>
#include <vector>

namespace smarm::host {

struct CommandLine {
    std::vector<std::string> options;  // ours, each as "--name=value", or "--help"
    std::vector<char*> python;         // argv without them
    bool version = false;
    std::string error;  // empty: none
};

CommandLine split(int argc, char** argv);

}  // namespace smarm::host
