// valgrind.h: tells valgrind which memory is stacks, or it takes a switch for a frame of gigabytes. Does nothing
// outside of it,
//             and nothing at all where the build found no header of it.
#pragma once

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0u
#define VALGRIND_STACK_DEREGISTER(id) static_cast<void>(id)
#endif
