#include "smarm/interp/safe_point.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cpython/code_position.h"
#include "cpython/finaliser_stack.h"
#include "cpython/py_compat.h"
#include "smarm/interp/code_owner.h"

namespace smarm {
namespace {

constexpr std::array<std::string_view, 3> kEndings = {"__exit__", "__aexit__", "__del__"};

struct Walk {
    bool program_seen = false;
    PyCodeObject* outermost = nullptr;  // of those in which nothing is raised
};

int look_at_code(void* context, PyCodeObject* code, PyObject*) {
    Walk& walk = *static_cast<Walk*>(context);
    const CodeOwner owner = owner_of(code);
    const bool allowed = owner != CodeOwner::imports && (walk.program_seen || owner != CodeOwner::bookkeeper) &&
                         std::ranges::find(kEndings, text_of(code->co_name)) == kEndings.end();
    walk.program_seen |= owner == CodeOwner::program;
    if (!allowed) walk.outermost = code;
    return 1;
}

SafePoint look_at_callers(PyThreadState* state) noexcept {
    Walk walk;
    smarm_visit_frames(state, look_at_code, &walk);
    if (walk.outermost) return {MayRaise::after_return, walk.outermost};
    if (!in_finaliser(state)) return {MayRaise::here};
    PyCodeObject* interrupted = smarm_calling_code(state);  // a generator's finaliser ends by an exception
    return {interrupted ? MayRaise::code_goes_on : MayRaise::later, interrupted};
}

}  // namespace

bool prepare_safe_points() { return find_code_owners() && find_finalisers(); }

SafePoint look_for_safe_point(PyThreadState* state, const PyActor& actor, bool overdue) noexcept {
    PyCodeObject* code = nullptr;
    int offset = -1;
    if (!smarm_current_code(state, &code, &offset)) return {MayRaise::later};
    const CodePosition position = find_position(code, offset);
    Py_DECREF(code);
    if (position.place == Place::elsewhere) return {MayRaise::soon};
    if (!overdue) {
        if (actor.requests.loads_script()) return {MayRaise::later};
        const SafePoint point = look_at_callers(state);
        if (point.may_raise != MayRaise::here) return point;
    }
    return {position.place == Place::uncovered_jump ? MayRaise::at_jump_target : MayRaise::here};
}

}  // namespace smarm
