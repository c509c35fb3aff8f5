// Exercises: the vDSO, a library that is in no file. `ask_clock` asks for the time without entering the kernel.
//
//     main > ask_clock > clock_gettime > (vDSO)
//
// Truth: the legal orders of this program's own functions.
#include "workload.h"

FRAME static uint64_t ask_clock(void) {
    struct timespec now;
    uint64_t x = 0;
    for (int i = 0; i < 10000; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        x += (uint64_t)now.tv_nsec;
    }
    return x + 1;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    workload_ready();
    uint64_t x = 0;
    while (!stop_flag) x += ask_clock();
    printf("{\"own\": [\"main\", \"ask_clock\"], \"legal\": [\"main ask_clock\"], \"sum\": %llu}\n", (unsigned long long)x);
    return 0;
}
