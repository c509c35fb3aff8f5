// Exercises: a library that is replaced on disk (a new file moved over it) while the program goes on with the old one.
// What runs is the library as it was at the start, by its old names, whatever the path leads to by now.
//
//     main > use > library_work > red_work > red_leaf
//
// Arguments: seconds, path of the library.
// Truth: the legal orders.
#include "workload.h"

#include <dlfcn.h>

typedef uint64_t (*working)(uint64_t);

FRAME static uint64_t use(working call) {
    uint64_t x = call(1000000);
    return x + 1;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: replaced SECONDS LIBRARY\n");
        return 2;
    }
    workload_begin(argv[1]);
    void *library = dlopen(argv[2], RTLD_NOW);
    working call = NULL;
    if (library) *(void **)&call = dlsym(library, "library_work");
    if (!call) {
        fprintf(stderr, "replaced: %s\n", dlerror());
        return 1;
    }
    workload_ready();
    uint64_t x = 0;
    while (!stop_flag) x += use(call);
    printf("{\"own\": [\"main\", \"use\", \"library_work\", \"red_work\", \"red_leaf\", \"blue_work\", \"blue_leaf\"],"
           " \"legal\": [\"main use library_work red_work red_leaf\"], \"sum\": %llu}\n",
           (unsigned long long)x);
    return 0;
}
