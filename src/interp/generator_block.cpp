#include "smarm/interp/generator_block.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cpython/py_compat.h"
#include "smarm/interp/code_owner.h"

namespace smarm {
namespace {

// Functions that enter a block for their caller.
constexpr std::array<std::string_view, 3> kEntering = {"__enter__", "__aenter__", "enter_async_context"};

struct Search {
    PyObject* generator = nullptr;  // borrowed; looked at, but whoever drives it may be entering a block
    bool found = false;
};

int look_for_block(void* context, PyCodeObject* code, PyObject* generator) {
    Search& search = *static_cast<Search*>(context);
    const bool enters = std::ranges::find(kEntering, text_of(code->co_name)) != kEntering.end();
    search.found = search.generator && !enters;
    if (search.found) return false;
    search.generator = enters ? nullptr : generator;
    return true;
}

struct Wanted {
    PyObject* generator;
    bool found = false;
};

int look_for_generator(void* context, PyCodeObject*, PyObject* generator) {
    Wanted& wanted = *static_cast<Wanted*>(context);
    wanted.found = generator == wanted.generator;
    return !wanted.found;
}

}  // namespace

bool GeneratorBlock::enter() {
    Search search;
    smarm_visit_frames(PyThreadState_Get(), look_for_block, &search);
    PyObject* reference = search.generator ? PyWeakref_NewRef(search.generator, nullptr) : nullptr;
    Py_XSETREF(generator_, reference);
    return reference || !search.generator;
}

bool GeneratorBlock::is_on_stack(const Actor& actor) const noexcept {
    PyObject* generator = nullptr;
    if (PyWeakref_GetRef(generator_, &generator) <= 0) return true;  // it has ended
    Py_DECREF(generator);                                            // somebody else has it, as it is not being freed
    if (smarm_generator_ended(generator)) return true;
    Wanted wanted{generator};
    smarm_visit_frames(static_cast<PyThreadState*>(actor.rider_state), look_for_generator, &wanted);
    return wanted.found;
}

bool GeneratorBlock::is_same(const Block* other) const noexcept {
    return other && generator_ == static_cast<const GeneratorBlock*>(other)->generator_;  // one weak reference for all
}

}  // namespace smarm
