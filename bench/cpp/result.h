// result.h: what the C++ programs share: key=value arguments, the clock, and the JSON line that the driver reads.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {

// The value of key=NUMBER among the arguments.
inline long argument(int argc, char** argv, const char* key, long fallback) {
    const std::size_t length = std::strlen(key);
    for (int i = 1; i < argc; ++i) {
        if (std::strncmp(argv[i], key, length) == 0 && argv[i][length] == '=') return std::atol(argv[i] + length + 1);
    }
    return fallback;
}

inline double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Behind a call: keeps the compiler from making a jump of it.
inline void not_a_tail_call() { asm volatile(""); }

inline void report(double value, const char* unit) {
    std::printf("{\"value\": %.17g, \"unit\": \"%s\", \"extra\": {}}\n", value, unit);
}

}  // namespace bench
