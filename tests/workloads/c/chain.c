// Exercises: frames without frame pointers (-O2 -fomit-frame-pointer) through a shared library that calls back.
//
//     main > work > lib_apply (libchain.so) > lib_each (libchain.so) > visit > leaf
//                                                                    > visit_other > leaf
// Two threads more do the same below `thread_main`.
//
// Truth: the legal orders of this program's own functions, and the share of each function by the threads' CPU clocks.
#include "workload.h"

#include <pthread.h>

typedef uint64_t (*visitor)(uint64_t, void *);
uint64_t lib_apply(visitor call, void *context, int times);

// One thread's clocks. Kept apart so that no thread waits for another.
struct spent {
    double visit, visit_other;
    double whole;
};

FRAME static uint64_t leaf(uint64_t turns) {
    uint64_t x = burn_turns(turns);
    NO_TAIL_CALL();
    return x;
}

FRAME static uint64_t visit(uint64_t number, void *context) {
    struct spent *spent = context;
    double begin = thread_seconds();
    uint64_t x = leaf(60000 + number) + 1;
    spent->visit += thread_seconds() - begin;
    return x;
}

FRAME static uint64_t visit_other(uint64_t number, void *context) {
    struct spent *spent = context;
    double begin = thread_seconds();
    uint64_t x = leaf(180000 + number) + 2;
    spent->visit_other += thread_seconds() - begin;
    return x;
}

FRAME static uint64_t work(struct spent *spent) {
    uint64_t x = lib_apply(visit, spent, 5);
    x += lib_apply(visit_other, spent, 3);
    return x + 1;
}

FRAME static void *thread_main(void *context) {
    struct spent *spent = context;
    double begin = thread_seconds();
    while (!stop_flag) work(spent);
    spent->whole = thread_seconds() - begin;
    return NULL;
}

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : NULL);
    struct spent spent[3];
    memset(spent, 0, sizeof spent);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, thread_main, &spent[i]);
    workload_ready();
    double begin = thread_seconds();
    while (!stop_flag) work(&spent[2]);
    spent[2].whole = thread_seconds() - begin;
    double whole = spent[2].whole, first = spent[2].visit, other = spent[2].visit_other;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        whole += spent[i].whole;
        first += spent[i].visit;
        other += spent[i].visit_other;
    }
    printf("{\"own\": [\"main\", \"thread_main\", \"work\", \"lib_apply\", \"lib_each\", \"visit\", \"visit_other\", \"leaf\"],"
           " \"legal\": ["
           "\"main work lib_apply lib_each visit leaf\", \"main work lib_apply lib_each visit_other leaf\","
           "\"thread_main work lib_apply lib_each visit leaf\", \"thread_main work lib_apply lib_each visit_other leaf\","
           // While they read their clock.
           "\"main work lib_apply lib_each visit\", \"main work lib_apply lib_each visit_other\","
           "\"thread_main work lib_apply lib_each visit\", \"thread_main work lib_apply lib_each visit_other\"],"
           " \"shares\": {\"visit\": %f, \"visit_other\": %f, \"lib_apply\": %f}}\n",
           first / whole, other / whole, (first + other) / whole);
    return 0;
}
