// rider.h: foreign state that rides on a worker and changes hands at every switch.
//
// What:    the scheduler knows no Python; it tells the worker's Rider which actor's state becomes current. For CPython
//          (interp/py_rider.h) a state is a PyThreadState, and the worker's own one is named by nullptr.
// Threads: on the worker only, except request_attention (any thread). Throws: no.
#pragma once

namespace smarm {

class Rider {
public:
    virtual ~Rider() = default;
    // Makes `state` (an Actor's rider_state; nullptr: the worker's own) current. Called with the old one current.
    virtual void switch_to(void* state) noexcept = 0;
    // Brackets a blocking wait of the worker: others may use the interpreter meanwhile.
    virtual void before_wait() noexcept = 0;
    virtual void after_wait() noexcept = 0;
    // Called now and then on the context of a busy worker: threads that have waited long for the interpreter get their
    // turn.
    virtual void let_others_in() noexcept {}
    // Whether the running actor must keep the worker here, unless it parks. Asked when its turn is to end.
    virtual bool holds_worker() noexcept { return false; }
    // Asks the running actor to reach a safe point soon and call Worker::at_safe_point there.
    virtual void request_attention() noexcept = 0;
    // The same from the running actor itself, in the middle of an allocation: must not allocate, or wait for a lock
    // that this thread may hold. May do nothing: it is called again soon.
    virtual void try_request_attention() noexcept { request_attention(); }
};

}  // namespace smarm
