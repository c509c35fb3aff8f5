// The library that chain.c goes through. Frames of unlike sizes, so that a wrong unwind rule can't pass for a right one.
#include "workload.h"

typedef uint64_t (*visitor)(uint64_t, void *);

__attribute__((visibility("hidden"))) FRAME uint64_t lib_each(visitor call, void *context, uint64_t number) {
    volatile uint64_t room[19];
    room[number % 19] = number;
    return call(number, context) + room[number % 19];
}

FRAME uint64_t lib_apply(visitor call, void *context, int times) {
    uint64_t x = 0;
    for (int i = 0; i < times; i++) x += lib_each(call, context, (uint64_t)i);
    return x;
}
