// The counter that says how far a workload is, as python/cost.py keeps it: units done; slots; then for each slot the
// monotonic clock and a clock of CPU time, in ns, at the end of the unit whose number leaves the slot's as remainder.
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define COUNTER_SLOTS 4096
#define COUNTER_BYTES (8 * (2 + 2 * COUNTER_SLOTS))

static volatile uint64_t *counter_words;

// In the file that the environment's COUNTER names.
static inline void counter_open(void) {
    const char *path = getenv("COUNTER");
    int file = path ? open(path, O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
    if (file < 0 || ftruncate(file, COUNTER_BYTES)) {
        perror("COUNTER");
        exit(1);
    }
    counter_words = mmap(NULL, COUNTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counter_words == MAP_FAILED) {
        perror("COUNTER");
        exit(1);
    }
    counter_words[1] = COUNTER_SLOTS;
}

static inline uint64_t counter_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

// The end of one more unit; whose CPU time it says is up to the program.
static inline void counter_add(clockid_t cpu) {
    uint64_t units = counter_words[0] + 1;
    volatile uint64_t *slot = counter_words + 2 + 2 * (units % COUNTER_SLOTS);
    slot[0] = counter_clock(CLOCK_MONOTONIC);
    slot[1] = counter_clock(cpu);
    __sync_synchronize();
    counter_words[0] = units;
}
