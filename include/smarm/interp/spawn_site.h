// spawn_site.h: where in the Python program an actor is spawned.
//
// What:    current_spawn_site() names file, line and function of the innermost Python frame that is not smarm's own.
//          Where all are (a supervisor starts a child), the place is the one where the spawning actor was spawned.
//          Sites are made once per place and kept for the process's life; finding one again costs a hash look-up.
// Owner:   the process (immortal). Threads: attached; the cache is the calling OS thread's.
#pragma once

#include "smarm/actor/actor.h"

namespace smarm {

// Returns the site; `of_spawner`, which may be nullptr, when all frames are smarm's own; nullptr when there is no
// Python frame or no memory.
const SpawnSite* current_spawn_site(const SpawnSite* of_spawner) noexcept;

// Drops the calling thread's cache and its references to code objects. Attached; before an interpreter ends.
void forget_spawn_sites() noexcept;

}  // namespace smarm
