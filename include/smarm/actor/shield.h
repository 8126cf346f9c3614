// shield.h: a section of native code that must be finished although an exit is requested of its actor.
//
// What:    while a Shield lives nothing that is requested of the actor is delivered (see requests.h); it is at the
//          first point or safe point after it. Nests, also with smarm.shield(). A PatientShield lets what is urgent
//          through.
// Threads: the actor's worker. Throws: no.
#pragma once

#include "smarm/actor/actor.h"

namespace smarm {

class Shield {
public:
    explicit Shield(Actor& actor) noexcept : actor_(actor), raised_(actor.requests.raise_shield()) {}
    ~Shield() {
        if (raised_) actor_.requests.lower_shield();
    }
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;

private:
    Actor& actor_;
    const bool raised_;  // false: there are so many that one more makes no difference
};

class PatientShield {
public:
    explicit PatientShield(Actor& actor) noexcept : actor_(actor) { actor_.requests.raise_patient_shield(); }
    ~PatientShield() { actor_.requests.lower_patient_shield(); }
    PatientShield(const PatientShield&) = delete;
    PatientShield& operator=(const PatientShield&) = delete;

private:
    Actor& actor_;
};

}  // namespace smarm
