// Exercises: the first instructions of a process. A constructor burns time before `main` begins.
//
//     early_constructor > early_leaf        main > late_leaf
//
// Argument: milliseconds of CPU time for each of the two.
// Truth: {"shares": {…}, "cpu_seconds": all CPU time of the process from its first instruction on}.
#include "workload.h"

static double spent_early;
static int milliseconds = 300;

FRAME static uint64_t early_leaf(double until) {
    uint64_t x = 0;
    while (thread_seconds() < until) x += burn_turns(20000);
    return x + 1;
}

__attribute__((constructor)) FRAME static void early_constructor(void) {
    double begin = thread_seconds();
    volatile uint64_t sink = early_leaf(begin + milliseconds / 1000.0);
    (void)sink;
    spent_early = thread_seconds() - begin;
}

FRAME static uint64_t late_leaf(double until) {
    uint64_t x = 0;
    while (thread_seconds() < until) x += burn_turns(20000);
    return x + 2;
}

int main(void) {
    double begin = thread_seconds();
    volatile uint64_t sink = late_leaf(begin + milliseconds / 1000.0);
    (void)sink;
    double late = thread_seconds() - begin;
    double whole = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    printf("{\"shares\": {\"early_constructor\": %f, \"main\": %f}, \"cpu_seconds\": %f}\n", spent_early / whole, late / whole, whole);
    return 0;
}
