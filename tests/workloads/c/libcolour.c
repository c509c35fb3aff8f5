// The two libraries of reload.c and the two versions of the one of replaced.c, by -DCOLOUR=red|blue and -DROOM=words.
// `COLOUR_work` is at the same offset in both; only its frame's size and the name differ.
#include "workload.h"

#define PASTE(a, b) a##b
#define NAME(colour, rest) PASTE(colour, rest)

__attribute__((visibility("hidden"))) FRAME uint64_t NAME(COLOUR, _leaf)(uint64_t turns) {
    volatile uint64_t room[ROOM];
    room[turns % ROOM] = turns;
    return burn_turns(turns) + room[turns % ROOM];
}

FRAME uint64_t NAME(COLOUR, _work)(uint64_t turns) {
    volatile uint64_t room[ROOM];
    room[turns % ROOM] = turns;
    uint64_t x = NAME(COLOUR, _leaf)(turns);
    return x + room[turns % ROOM];
}

// The same name in both, for a library that is replaced on disk.
uint64_t library_work(uint64_t turns) {
    uint64_t x = NAME(COLOUR, _work)(turns);
    return x + 1;
}
