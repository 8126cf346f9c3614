// core.h: what most files of the layers without Python include, compiled once. Every file includes what it needs
// all the same. A guard, for GCC warns of #pragma once in what it precompiles.
#ifndef SMARM_PRECOMPILED_CORE_H
#define SMARM_PRECOMPILED_CORE_H

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#endif
