// Exercises: deep stacks. `descend` calls itself exactly as often as the second argument says and burns time at the bottom
// in `bottom`, which is never left before the end. Built without optimising the recursion away.
//
// Truth: {"function": "descend", "depth": n}.
#include "workload.h"

FRAME static uint64_t bottom(void) {
    uint64_t x = 0;
    while (!stop_flag) x += burn_turns(100000);
    return x;
}

FRAME static uint64_t descend(int depth) {
    volatile uint64_t room[3] = {(uint64_t)depth, 1, 2};
    uint64_t x = depth > 1 ? descend(depth - 1) : bottom();
    return x + room[depth % 3];
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    int depth = argc > 2 ? atoi(argv[2]) : 60;
    workload_ready();
    uint64_t x = descend(depth);
    printf("{\"function\": \"descend\", \"leaf\": \"bottom\", \"depth\": %d, \"sum\": %llu}\n", depth, (unsigned long long)x);
    return 0;
}
