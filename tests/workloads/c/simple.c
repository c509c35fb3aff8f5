// Exercises: kinds of executables. The same three functions, built static, static PIE, non-PIE, stripped, for 32 bits, or
// put where only the target sees it (a container, a chroot).
//
//     main > outer > middle > inner
//
// Truth: the legal orders of this program's own functions.
#include "workload.h"

FRAME static uint64_t inner(uint64_t turns) {
    uint64_t x = burn_turns(turns);
    NO_TAIL_CALL();
    return x;
}

FRAME static uint64_t middle(uint64_t turns) {
    volatile uint64_t room[5];
    room[turns % 5] = turns;
    return inner(turns) + room[turns % 5];
}

FRAME static uint64_t outer(uint64_t turns) {
    volatile uint64_t room[12];
    room[turns % 12] = turns;
    return middle(turns) + room[turns % 12];
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    workload_ready();
    uint64_t x = 0;
    while (!stop_flag) x += outer(500000);
    printf("{\"own\": [\"main\", \"outer\", \"middle\", \"inner\"], \"legal\": [\"main outer middle inner\"], \"sum\": %llu}\n",
           (unsigned long long)x);
    return 0;
}
