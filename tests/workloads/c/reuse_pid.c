// Exercises: a process id that is given again to another process. Starts the program named first, waits for its end, and
// starts the second one with the same process id, by clone3's set_tid (needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
//
// Arguments: two command lines separated by `--`. Waits for a line on its input before each, so that the recording can
// begin. Truth: what the two programs print; exit code 3 if the kernel doesn't let a process id be chosen.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(pid_t wanted, char **command) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = (uintptr_t)&wanted;
    arguments.set_tid_size = 1;
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        execv(command[0], command);
        perror("reuse_pid: exec");
        _exit(127);
    }
    return child;
}

static void life(pid_t wanted, char **command) {
    pid_t child = start(wanted, command);
    if (child < 0) {
        fprintf(stderr, "reuse_pid: clone3(set_tid %d): %s\n", (int)wanted, strerror(errno));
        exit(errno == EPERM || errno == ENOSYS ? 3 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) exit(1);
}

int main(int argc, char **argv) {
    int split = 1;
    while (split < argc && strcmp(argv[split], "--") != 0) split++;
    if (split < 2 || split + 1 >= argc) {
        fprintf(stderr, "usage: reuse_pid COMMAND… -- COMMAND…\n");
        return 2;
    }
    argv[split] = NULL;
    // Far from the numbers that the kernel gives out just now.
    pid_t wanted = (getpid() + 15000) % 30000 + 1000;
    while (kill(wanted, 0) == 0) wanted++;
    printf("ready %d\n", (int)getpid());
    printf("pid %d\n", (int)wanted);
    fflush(stdout);
    if (getchar() == EOF) return 1;
    life(wanted, argv + 1);
    life(wanted, argv + split + 1);
    return 0;
}
