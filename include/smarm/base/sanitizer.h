// sanitizer.h: which sanitizer this translation unit is compiled with, by one name for gcc and clang.
//
// What:    defines SMARM_ADDRESS_SANITIZER or SMARM_THREAD_SANITIZER, or neither.
// Not:     the fiber annotations themselves; those stand beside the switch (src/fiber/context.cpp) and nowhere else.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define SMARM_ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define SMARM_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SMARM_ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define SMARM_THREAD_SANITIZER 1
#endif
#endif
