// Exercises: the kernel's part of a stack. `read_zeros` spends nearly all its time inside read(2) of /dev/zero.
//
//     main > read_zeros > read > (kernel) … vfs_read > … read_iter_zero …
//
// Truth: {"function": "read_zeros", "kernel_share": share of the CPU time spent in the kernel}.
#include "workload.h"

#include <fcntl.h>
#include <sys/resource.h>

static char buffer[1 << 20];

FRAME static int64_t read_zeros(int file) {
    int64_t total = 0;
    for (int i = 0; i < 16; i++) total += read(file, buffer, sizeof buffer);
    return total + 1;
}

static double seconds_of(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec * 1e-6; }

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    int file = open("/dev/zero", O_RDONLY);
    if (file < 0) {
        perror("zero: /dev/zero");
        return 1;
    }
    memset(buffer, 1, sizeof buffer);
    workload_ready();
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    int64_t total = 0;
    while (!stop_flag) total += read_zeros(file);
    getrusage(RUSAGE_SELF, &after);
    double user = seconds_of(after.ru_utime) - seconds_of(before.ru_utime);
    double system = seconds_of(after.ru_stime) - seconds_of(before.ru_stime);
    printf("{\"function\": \"read_zeros\", \"kernel_share\": %f, \"total\": %lld}\n", system / (user + system), (long long)total);
    return 0;
}
