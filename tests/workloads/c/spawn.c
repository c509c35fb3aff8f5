// Exercises: what being profiled costs a program that starts others, by fork and exec, one after the other.
#include <sys/wait.h>

#include "counter.h"
#include "workload.h"

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    counter_open();
    workload_ready();
    while (!stop_flag) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        if (child < 0 || waitpid(child, NULL, 0) != child)
            return 1;
        counter_add(CLOCK_THREAD_CPUTIME_ID);
    }
    printf("{}\n");
    return 0;
}
