// run_functions.h: beginning a run, and reaching into it: the functions _run, _reconfigure, _request_exit,
// _request_dump ...
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef run_functions[];

}  // namespace smarm::bind
