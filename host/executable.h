// executable.h: the `python` that this launcher stands for.
//
// What:    the path that becomes sys.executable, from which Python finds its prefix and its virtual environment.
//          It is the `python` beside argv[0] when that is in a virtual environment; where argv[0] is a symbolic link
//          (as pipx makes them), the link is followed; otherwise it is the Python that smarm was built with.
// Why not  /proc/self/exe: an editable installation starts a launcher that lies elsewhere, with the argv[0] of its own.
#pragma once

#include <string>

namespace smarm::host {

// Returns an absolute path. argv0 as the process got it; without a slash it is looked for on PATH.
std::string python_executable(const std::string& argv0);

}  // namespace smarm::host
