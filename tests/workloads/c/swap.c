// Exercises: differences between recordings. Two functions share the CPU, as the second argument says: the first has so many
// percent of it.
//
//     main > first, second
//
// Truth: {"first": its share of both, by the thread's own clock}.
#include "workload.h"

FRAME static uint64_t first(uint64_t turns) {
    uint64_t x = burn_turns(turns);
    NO_TAIL_CALL();
    return x;
}

FRAME static uint64_t second(uint64_t turns) {
    uint64_t x = burn_turns(turns);
    NO_TAIL_CALL();
    return x + 1;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    unsigned percent = argc > 2 ? (unsigned)atoi(argv[2]) : 50;
    workload_ready();
    double spent[2] = {0, 0};
    uint64_t x = 0;
    while (!stop_flag) {
        double begin = thread_seconds();
        x += first(percent * 10000);
        double middle = thread_seconds();
        x += second((100 - percent) * 10000);
        spent[0] += middle - begin;
        spent[1] += thread_seconds() - middle;
    }
    printf("{\"first\": %.6f, \"sum\": %llu}\n", spent[0] / (spent[0] + spent[1]), (unsigned long long)x);
    return 0;
}
