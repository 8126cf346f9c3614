// pid.h: the name of one actor, never used again.
//
// What:    (index, generation). The index is a slot of the ActorTable, the generation counts the actors that have had
//          it; a slot whose generation would wrap is retired, so a stale pid is detected and never names a new actor.
//          A value: copy, compare, hash, send it freely. generation 0 is never alive: Pid{} is "nobody".
#pragma once

#include <compare>
#include <cstdint>

namespace smarm {

struct Pid {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;

    constexpr explicit operator bool() const noexcept { return generation != 0; }
    friend constexpr auto operator<=>(const Pid&, const Pid&) = default;

    constexpr std::uint64_t bits() const noexcept { return std::uint64_t{generation} << 32 | index; }
    static constexpr Pid from_bits(std::uint64_t bits) noexcept {
        return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
    }
};

}  // namespace smarm
