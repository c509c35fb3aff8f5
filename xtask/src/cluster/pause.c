/* The first process of a pod: holds its namespaces, and waits for children that nobody else waits for. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) {
    (void)number;
    _exit(0);
}

static void wait_for_children(int number) {
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

int main(void) {
    struct sigaction ending = {.sa_handler = end};
    struct sigaction waiting = {.sa_handler = wait_for_children, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
    sigaction(SIGTERM, &ending, NULL);
    sigaction(SIGINT, &ending, NULL);
    sigaction(SIGCHLD, &waiting, NULL);
    for (;;) {
        pause();
    }
}
