// Four levels of one template, each with something to destroy when an exception passes, then a throw or a computation.
#include "../c/workload.h"

#include <vector>

#include "throwing.hpp"

namespace lib {

FRAME uint64_t Thrower::raise(int depth) {
    state = state * 6364136223846793005ull + (uint64_t)depth;
    if (state != 0) throw Failure{state};
    return 0;
}

FRAME uint64_t Thrower::compute(int depth) {
    auto mix = [this](uint64_t turns) { return burn_turns(turns) + state; };
    uint64_t x = mix(16000 + (uint64_t)depth);
    NO_TAIL_CALL();
    return x;
}

template <int Level>
FRAME uint64_t descend(Thrower &thrower, int depth, bool failing) {
    std::vector<uint64_t> room((size_t)(Level + depth));
    room[0] = (uint64_t)depth;
    uint64_t x;
    if constexpr (Level > 0)
        x = descend<Level - 1>(thrower, depth, failing);
    else
        x = failing ? thrower.raise(depth) : thrower.compute(depth);
    return x + room[0];
}

FRAME uint64_t enter(Thrower &thrower, int depth, bool failing) {
    uint64_t x = descend<3>(thrower, depth, failing);
    return x + 1;
}

}  // namespace lib
