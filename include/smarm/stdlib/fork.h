// stdlib/fork.h: os.fork and os.forkpty, refused where the child would crash.
//
// What:    CPython (3.13 to 3.15) cannot fork a process that has several interpreters: the child crashes while it
//          deletes them. From the first worker's interpreter to the last one's end, both raise RuntimeError instead.
//          (In a worker, CPython itself refuses; see create_interpreter.) subprocess and os.system start other programs
//          and work. What a child is that is forked where that is possible: see forked_child.h.
// Errors:  install: false with a Python exception set. Threads: the main interpreter must be attached.
#pragma once

namespace smarm {

bool install_stdlib_fork(void (*end_idle_interpreters)());

}  // namespace smarm
