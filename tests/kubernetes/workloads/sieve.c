/* A service in C: two threads that need a CPU each, and functions that clock themselves by their thread's CPU clock. A line
 * of JSON a second says what the clocks have counted, as workloads/work.py does. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SIEVE, SORT, MIX, KINDS };
static const char *const names[KINDS] = {"count_primes", "sort_numbers", "mix_words"};
static atomic_ullong spent[KINDS];
static volatile uint64_t sink;

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

__attribute__((noinline)) static uint64_t count_primes(unsigned char *marks, uint64_t limit) {
    uint64_t found = 0;
    for (uint64_t i = 2; i < limit; i++) {
        marks[i] = 0;
    }
    for (uint64_t i = 2; i < limit; i++) {
        if (!marks[i]) {
            found++;
            for (uint64_t multiple = i * i; multiple < limit; multiple += i) {
                marks[multiple] = 1;
            }
        }
    }
    return found;
}

__attribute__((noinline)) static int compare(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

__attribute__((noinline)) static uint64_t sort_numbers(uint32_t *numbers, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        numbers[i] = seed;
    }
    qsort(numbers, count, sizeof *numbers, compare);
    return numbers[count / 2];
}

__attribute__((noinline)) static uint64_t mix_words(uint64_t word, unsigned turns) {
    while (turns--) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
    }
    return word;
}

static void *work(void *unused) {
    enum { LIMIT = 200000, COUNT = 20000 };
    unsigned char *marks = malloc(LIMIT);
    uint32_t *numbers = malloc(COUNT * sizeof *numbers);
    (void)unused;
    if (!marks || !numbers) {
        abort();
    }
    for (uint32_t turn = 1;; turn++) {
        uint64_t times[KINDS + 1];
        times[0] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        sink += count_primes(marks, LIMIT);
        times[1] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        sink += sort_numbers(numbers, COUNT, turn);
        times[2] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        sink += mix_words(turn, 400000);
        times[3] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (int kind = 0; kind < KINDS; kind++) {
            atomic_fetch_add(&spent[kind], times[kind + 1] - times[kind]);
        }
    }
    return NULL;
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&thread, NULL, work, NULL)) {
            return 1;
        }
    }
    for (;;) {
        printf("{\"wall\": %llu, \"process\": %llu, \"functions\": {", (unsigned long long)clock_ns(CLOCK_REALTIME),
               (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
        for (int kind = 0; kind < KINDS; kind++) {
            printf("%s\"%s\": %llu", kind ? ", " : "", names[kind], (unsigned long long)atomic_load(&spent[kind]));
        }
        puts("}}");
        fflush(stdout);
        sleep(1);
    }
}
