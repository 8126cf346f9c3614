// mutex.h: at most one actor at a time, of any workers.
//
// What:    an Exclusive lock whose seal is poison: a holder that ends without releasing it poisons it with its pid.
//          From then on acquire returns `closed`, to those who wait already too, until an actor that acquired it
//          through the poison releases it with Seal::remove.
// Once:    an Exclusive lock whose seal says that the work is done; a holder that ends leaves the work to the next.
// Not:     recursive: an actor must not acquire what it holds (ask holder()).
// See:     wait/exclusive.h, tests/cpp/wait/mutex_test.cpp, docs/reference/sync.md
#pragma once

#include "smarm/wait/exclusive.h"

namespace smarm {

class Mutex final : public Exclusive {
    Seal seal_at_death() const noexcept override { return Seal::put; }
};

class Once final : public Exclusive {
    Seal seal_at_death() const noexcept override { return Seal::keep; }
};

}  // namespace smarm
