// What the C and C++ workloads have in common, as python/workload.py has it: the word `ready`, the end by SIGTERM or after
// the seconds given as the first argument (default 60), and the truth as one line of JSON.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A function that stays a function with a frame of its own, and returns to its caller by a return.
#define FRAME __attribute__((noinline, noclone, used))
// Placed after a call, keeps it from becoming a jump.
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

static volatile sig_atomic_t stop_flag;

static void on_stop(int number) {
    (void)number;
    stop_flag = 1;
}

// `seconds` as text; NULL for the default.
static inline void workload_begin(const char *seconds) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_stop;
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds ? (unsigned)atoi(seconds) : 60);
}

static inline void workload_ready(void) {
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
}

static inline double cpu_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline double thread_seconds(void) { return cpu_seconds(CLOCK_THREAD_CPUTIME_ID); }

// A loop without calls. Marked `static inline` so that its time belongs to the function that contains it.
static inline uint64_t burn_turns(uint64_t turns) {
    uint64_t x = 88172645463325252ull;
    for (uint64_t i = 0; i < turns; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}
