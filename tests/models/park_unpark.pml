/* park_unpark.pml: waking a parked actor of another worker (Worker::wake_remote, deliver_actor, park).
 *
 * Two wakers change what the actor waits for, then post it to its worker's inbox unless `wake_posted` says that it is there
 * already. The worker takes the post, clears the flag, and makes the actor ready if it is parked. The actor looks at the
 * condition whenever it runs, and parks when there is less than it waits for.
 *
 * Checked: no wake-up is lost (no state without a way on in which the actor has not seen both changes), the post is in the
 * inbox at most once. CLEAR_LATE is the planted bug: the flag is cleared after the actor has looked.
 */
#define CHANGES 2

byte condition = 0;      /* how many changes have been made */
bool wake_posted = false;
chan inbox = [CHANGES] of { bit };
bool done = false;

proctype waker() {
    bool was;
    condition++;
    d_step { was = wake_posted; wake_posted = true }   /* exchange */
    if
    :: !was -> assert(nfull(inbox)); inbox ! 1
    :: else -> skip
    fi
}

/* The worker and its one actor: they are one thread. */
proctype worker() {
    byte seen = 0;
    do
    :: seen < CHANGES ->
        inbox ? _;                       /* parked: only a post makes it ready */
        assert(len(inbox) == 0);         /* never there twice */
#ifndef CLEAR_LATE
        wake_posted = false;
#endif
        seen = condition;                /* the actor runs and looks */
#ifdef CLEAR_LATE
        wake_posted = false;
#endif
    :: else -> break
    od;
    done = true
}

init {
    atomic { run worker(); run waker(); run waker() }
    done                                  /* a lost wake-up leaves init here: an invalid end state */
}
