// Exercises: what being profiled costs a program that does nothing but cheap system calls.
#include <sys/syscall.h>
#include <unistd.h>

#include "counter.h"
#include "workload.h"

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    counter_open();
    workload_ready();
    while (!stop_flag) {
        for (int i = 0; i < 2000; i++)
            syscall(SYS_getppid);
        counter_add(CLOCK_THREAD_CPUTIME_ID);
    }
    printf("{}\n");
    return 0;
}
