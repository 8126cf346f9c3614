// frames.h: sys._current_frames and sys._current_exceptions, made aware of actors.
//
// What:    both answer for the calling interpreter: its threads and its worker's actors, by threading.get_ident().
//          CPython's own make objects of every interpreter's frames without its GIL, which crashes as soon as there are
//          two that run (profilers call them all the time).
// Threads: install_stdlib_frames once, with the main interpreter attached. False: a Python exception is set.
#pragma once

namespace smarm {

bool install_stdlib_frames();

}  // namespace smarm
