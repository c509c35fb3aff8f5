// The library that throwing.cpp goes through.
#pragma once

#include <cstdint>

namespace lib {

struct Failure {
    uint64_t value;
};

struct Thrower {
    uint64_t state = 1;
    virtual uint64_t raise(int depth);
    virtual uint64_t compute(int depth);
};

uint64_t enter(Thrower &thrower, int depth, bool failing);

}  // namespace lib
