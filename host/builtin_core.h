// builtin_core.h: smarm._core inside the launcher.
//
// What:    register_core() makes smarm._core a built-in module of every interpreter of this process, before Python
//          starts. smarm_host_core_init is exported: the extension module of the same name, should something load it
//          here (an editable installation's finder comes before the built-in one), finds it and hands out this core
//          instead of its own (src/bind/extension.cpp). So one process never has two runtimes.
#pragma once

namespace smarm::host {

// Returns false when memory is out.
bool register_core();

}  // namespace smarm::host
