// Exercises: one process id with several lives. Built twice, with -DLIFE=first and -DLIFE=second and with functions at the
// same addresses (non-PIE), so that names or unwind rules of the life before would be found and be wrong.
//
//     main > LIFE_outer > LIFE_inner
//
// Arguments: milliseconds of CPU time to burn, then, if any, the command line to become (exec in place, same process id).
// Truth: one line a life: {"life": "first", "pid": n, "cpu_seconds": s}.
#include "workload.h"

#define PASTE(a, b) a##b
#define NAME(life, rest) PASTE(life, rest)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

FRAME static uint64_t NAME(LIFE, _inner)(uint64_t turns) {
    volatile uint64_t room[ROOM];
    room[turns % ROOM] = turns;
    return burn_turns(turns) + room[turns % ROOM];
}

FRAME static uint64_t NAME(LIFE, _outer)(double until) {
    volatile uint64_t room[ROOM];
    uint64_t x = 0;
    do {
        room[x % ROOM] = x;
        x += NAME(LIFE, _inner)(100000);
    } while (thread_seconds() < until);
    return x + room[x % ROOM];
}

int main(int argc, char **argv) {
    double begin = thread_seconds();
    double seconds = (argc > 1 ? atof(argv[1]) : 1000.0) / 1000.0;
    uint64_t x = NAME(LIFE, _outer)(begin + seconds);
    printf("{\"life\": \"" TEXT(LIFE) "\", \"pid\": %d, \"cpu_seconds\": %f, \"sum\": %llu}\n", (int)getpid(),
           thread_seconds() - begin, (unsigned long long)x);
    fflush(stdout);
    if (argc > 2) {
        execv(argv[2], argv + 2);
        perror("life: exec");
        return 1;
    }
    return 0;
}
