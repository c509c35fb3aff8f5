// Exercises: whether a profiler gets all samples of four threads that keep all CPUs busy. The counter's clock is the whole
// process's.
#include <pthread.h>

#include "counter.h"
#include "workload.h"

static void *burn(void *unused) {
    (void)unused;
    while (!stop_flag)
        burn_turns(100000);
    return NULL;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    counter_open();
    workload_ready();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, burn, NULL))
            return 1;
    while (!stop_flag) {
        burn_turns(100000);
        counter_add(CLOCK_PROCESS_CPUTIME_ID);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("{}\n");
    return 0;
}
