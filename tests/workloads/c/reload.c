// Exercises: two libraries one after the other at the same address. `via_red` opens the first library given, calls its
// `red_work` through a pointer and closes it; `via_blue` does so with the second and `blue_work`. Both functions are at the
// same offset but have frames of unlike sizes: with the rules or the names of the library before, a stack shows at once.
//
//     main > via_red > red_work        main > via_blue > blue_work
//
// Arguments: seconds, path of the red library, path of the blue one.
// Truth: the legal orders, the shares by the thread's CPU clock, how many times a library came to lie where the other one
// had been.
#include "workload.h"

#include <dlfcn.h>

typedef uint64_t (*working)(uint64_t);

FRAME static uint64_t via_red(working call) {
    uint64_t x = call(30000000);
    return x + 1;
}

FRAME static uint64_t via_blue(working call) {
    uint64_t x = call(60000000);
    return x + 2;
}

static void *open_library(const char *path, const char *name, working *call) {
    void *library = dlopen(path, RTLD_NOW);
    if (!library) {
        fprintf(stderr, "reload: %s\n", dlerror());
        exit(1);
    }
    *(void **)call = dlsym(library, name);
    return library;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: reload SECONDS RED BLUE\n");
        return 2;
    }
    workload_begin(argv[1]);
    workload_ready();
    uint64_t x = 0;
    double red = 0, blue = 0;
    int same = 0, turns = 0;
    working before = NULL;
    while (!stop_flag) {
        working call;
        void *library = open_library(argv[2], "red_work", &call);
        same += call == before;
        before = call;
        double begin = thread_seconds();
        x += via_red(call);
        red += thread_seconds() - begin;
        dlclose(library);

        library = open_library(argv[3], "blue_work", &call);
        same += call == before;
        before = call;
        begin = thread_seconds();
        x += via_blue(call);
        blue += thread_seconds() - begin;
        dlclose(library);
        turns++;
    }
    printf("{\"own\": [\"main\", \"via_red\", \"red_work\", \"red_leaf\", \"via_blue\", \"blue_work\", \"blue_leaf\"],"
           " \"legal\": [\"main via_red red_work red_leaf\", \"main via_blue blue_work blue_leaf\"],"
           " \"shares\": {\"red_work\": %f, \"blue_work\": %f}, \"turns\": %d, \"same_address\": %d, \"sum\": %llu}\n",
           red / (red + blue), blue / (red + blue), turns, same, (unsigned long long)x);
    return 0;
}
