// Exercises: children. The parent burns a little in `parent_leaf`; a child started before `ready` burns in `elder_leaf`, and
// short-lived ones started after it, one after the other, in `younger_leaf`.
//
// All of them begin once a line comes on the input, so that a recording may begin first.
// Truth: {"pid": n, "elder": n, "younger": number of short-lived children, "shares": {function: share of all CPU time}}.
#include "workload.h"

#include <sys/resource.h>
#include <sys/wait.h>

FRAME static uint64_t elder_leaf(void) {
    uint64_t x = 0;
    while (!stop_flag) x += burn_turns(100000);
    return x;
}

FRAME static uint64_t younger_leaf(void) {
    double until = thread_seconds() + 0.1;
    uint64_t x = 0;
    while (thread_seconds() < until) x += burn_turns(20000);
    return x;
}

FRAME static uint64_t parent_leaf(void) {
    double until = thread_seconds() + 0.02;
    uint64_t x = 0;
    while (thread_seconds() < until) x += burn_turns(20000);
    return x;
}

static double children_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6 + (double)usage.ru_stime.tv_sec +
           (double)usage.ru_stime.tv_usec * 1e-6;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    int gate[2];
    if (pipe(gate) != 0) {
        perror("family: pipe");
        return 1;
    }
    pid_t elder = fork();
    if (elder == 0) {
        char byte;
        close(gate[1]);
        // Ends when the parent closes its side.
        while (read(gate[0], &byte, 1) > 0) {
        }
        return (int)(elder_leaf() & 1);
    }
    workload_ready();
    while (getchar() != '\n' && !feof(stdin)) {
    }
    close(gate[1]);
    uint64_t x = 0;
    int count = 0;
    double begin = thread_seconds();
    while (!stop_flag) {
        pid_t child = fork();
        if (child == 0) _exit((int)(younger_leaf() & 1));
        x += parent_leaf();
        int status;
        while (waitpid(child, &status, 0) < 0) {
        }
        count++;
    }
    double own = thread_seconds() - begin;
    double younger = children_seconds();
    kill(elder, SIGTERM);
    int status;
    while (waitpid(elder, &status, 0) < 0) {
    }
    double all = children_seconds() + own;
    printf("{\"pid\": %d, \"elder\": %d, \"younger\": %d, \"shares\": {\"parent_leaf\": %f, \"younger_leaf\": %f, \"elder_leaf\": %f},"
           " \"sum\": %llu}\n",
           (int)getpid(), (int)elder, count, own / all, younger / all, (all - own - younger) / all, (unsigned long long)x);
    return 0;
}
