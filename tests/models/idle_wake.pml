/* idle_wake.pml: a worker that goes to sleep while others bring it work (sched/idle.h, Driver::wait and wake).
 *
 * A poster pushes, then reads `sleeping`, and whoever exchanges it from true to false wakes the driver. The worker sets
 * `sleeping`, then looks at its inbox once more, then waits; a wake() before the wait makes it return at once.
 *
 * Checked: every post is taken; the worker never waits for ever while there is one. LOOK_FIRST is the planted bug: the worker
 * looks before it sets the flag. An actor in the shared queue is work like a post: whoever put it there reads `sleeping` of each
 * worker (Worker::is_free) before it chooses one to wake. WEAK is another: poster and worker may see the other's store late (store buffers), as without
 * seq_cst on both sides of the pair.
 */
#define POSTERS 2

byte inbox = 0;          /* posts in it, as everybody sees them */
bool sleeping = false;
bool woken = false;      /* the driver's eventfd */
byte taken = 0;

inline wake_if_sleeping() {
    if
    :: sleeping ->
        d_step { was = sleeping; sleeping = false }     /* exchange: one poster only pays for the wake-up */
        if
        :: was -> woken = true
        :: else -> skip
        fi
    :: else -> skip
    fi
}

proctype poster() {
    bool was;
#ifdef WEAK
    if
    :: inbox++; wake_if_sleeping()
    :: wake_if_sleeping(); inbox++       /* the push leaves the store buffer after the load */
    fi
#else
    inbox++;
    wake_if_sleeping()
#endif
}

proctype worker() {
    bool nothing;
    do
    :: taken < POSTERS ->
        d_step { taken = taken + inbox; inbox = 0 }     /* take_all */
        if
        :: taken < POSTERS ->
#ifdef LOOK_FIRST
            nothing = (inbox == 0);
            sleeping = true;
#else
            sleeping = true;
            nothing = (inbox == 0);
#endif
            if
            :: nothing -> woken; woken = false            /* Driver::wait */
            :: else -> skip
            fi;
            sleeping = false
        :: else -> skip
        fi
    :: else -> break
    od
}

init {
    byte i;
    atomic {
        run worker();
        for (i : 1 .. POSTERS) { run poster() }
    }
}
