// stdlib/simulation.h: time and threads of the standard library, in a simulation.
//
// What:    for actors of a simulation time.monotonic, perf_counter and time (and their _ns forms) tell its virtual
//          time, and starting a thread raises NotSimulated. Everybody else gets what was there before.
// Threads: install with the main interpreter attached, before the first simulated actor runs; then for good.
// Errors:  install: false with an exception set.
#pragma once

namespace smarm {

bool install_stdlib_simulation();

}  // namespace smarm
