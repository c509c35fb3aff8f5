// Exercises: frames whose size is known only when they run. `wide` takes room by alloca, another size each time, and so
// needs a frame register although the program is built without frame pointers. Below it a leaf without a frame of its own.
//
//     main > wide > fill > small_leaf
//
// Truth: the legal orders of this program's own functions.
#include "workload.h"

#include <alloca.h>

FRAME static uint64_t small_leaf(uint64_t x) {
    for (int i = 0; i < 20000; i++) x = x * 6364136223846793005ull + 1442695040888963407ull;
    return x;
}

FRAME static uint64_t fill(char *room, size_t size) {
    memset(room, (int)size, size);
    uint64_t x = small_leaf(size);
    return x + (uint64_t)room[size - 1];
}

FRAME static uint64_t wide(size_t size) {
    char *room = alloca(size);
    uint64_t x = fill(room, size);
    return x + (uint64_t)room[size / 2];
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    workload_ready();
    uint64_t x = 0;
    for (size_t turn = 0; !stop_flag; turn++) x += wide(17 + turn * 97 % 9000);
    printf("{\"own\": [\"main\", \"wide\", \"fill\", \"small_leaf\"], \"legal\": [\"main wide fill small_leaf\"], \"sum\": %llu}\n",
           (unsigned long long)x);
    return 0;
}
