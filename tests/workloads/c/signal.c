// Exercises: signal frames. A timer interrupts `work` over and over; its handler burns CPU time of its own.
//
//     main > work > interrupted_leaf | (signal frame) > on_timer > handler_leaf
//
// Truth: the legal orders of this program's own functions, and the handler's share of the CPU time.
#include "workload.h"

#include <sys/time.h>

static volatile double in_handler;
static volatile uint64_t sink;

FRAME static uint64_t handler_leaf(void) {
    uint64_t x = burn_turns(2000000);
    NO_TAIL_CALL();
    return x;
}

FRAME static void on_timer(int number) {
    double begin = thread_seconds();
    sink += handler_leaf() + (uint64_t)number;
    in_handler += thread_seconds() - begin;
}

FRAME static uint64_t interrupted_leaf(uint64_t turns) {
    volatile uint64_t room[33];
    room[turns % 33] = turns;
    return burn_turns(turns) + room[turns % 33];
}

FRAME static uint64_t work(void) {
    uint64_t x = interrupted_leaf(300000);
    return x + 1;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_timer;
    action.sa_flags = SA_RESTART;
    sigaction(SIGVTALRM, &action, NULL);
    struct itimerval every = {{0, 10000}, {0, 10000}};
    setitimer(ITIMER_VIRTUAL, &every, NULL);
    workload_ready();
    double begin = thread_seconds();
    double before = in_handler;
    while (!stop_flag) sink += work();
    double whole = thread_seconds() - begin;
    printf("{\"own\": [\"main\", \"work\", \"interrupted_leaf\", \"on_timer\", \"handler_leaf\"],"
           " \"legal\": [\"main work interrupted_leaf\", \"main work interrupted_leaf on_timer handler_leaf\"],"
           " \"shares\": {\"on_timer\": %f}}\n",
           (in_handler - before) / whole);
    return 0;
}
