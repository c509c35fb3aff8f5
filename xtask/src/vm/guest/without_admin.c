/* Runs a command that can't have CAP_SYS_ADMIN: what a pod or a unit with chosen capabilities is to the kernel. */
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2 || prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)) {
        perror("without_admin");
        return 125;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
