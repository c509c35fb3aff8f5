// Exercises: C++ exceptions that pass through several frames of a shared library on their way to the handler, and names
// that need demangling: namespaces, templates, lambdas.
//
//     main > app::run > lib::enter > lib::descend<3> > … > lib::descend<0> > lib::Thrower::raise > (the C++ run time)
//                                                                         > lib::Thrower::compute > (a lambda, inlined)
//
// While the run time installs the handler's registers it rewrites its own frame, return address included, and no unwind
// information describes that; so much is computed between two throws that it is less than 0.2 % of the time.
//
// Truth: the legal orders of this program's own functions, arguments left out of the names.
#include "../c/workload.h"

#include "throwing.hpp"

#define FOUR "main app::run lib::enter lib::descend lib::descend lib::descend lib::descend "

namespace app {

FRAME uint64_t run(lib::Thrower &thrower) {
    uint64_t x = 0;
    try {
        x += lib::enter(thrower, 8, true);
    } catch (const lib::Failure &failure) {
        x += failure.value;
    }
    x += lib::enter(thrower, 8, false);
    return x + 1;
}

}  // namespace app

int main(int argc, char **argv) {
    workload_begin(argc > 1 ? argv[1] : nullptr);
    lib::Thrower thrower;
    workload_ready();
    uint64_t x = 0;
    while (!stop_flag) x += app::run(thrower);
    printf("{\"own\": [\"main\", \"app::run\", \"lib::enter\", \"lib::descend\", \"lib::Thrower::raise\", \"lib::Thrower::compute\"],"
           " \"seen\": [\"" FOUR "lib::Thrower::raise\", \"" FOUR "lib::Thrower::compute\"],"
           // On the way back each frame destroys what it holds.
           " \"legal\": [\"" FOUR "lib::Thrower::raise\", \"" FOUR "lib::Thrower::compute\","
           " \"main app::run\", \"main app::run lib::enter\", \"main app::run lib::enter lib::descend\","
           " \"main app::run lib::enter lib::descend lib::descend\","
           " \"main app::run lib::enter lib::descend lib::descend lib::descend\","
           " \"main app::run lib::enter lib::descend lib::descend lib::descend lib::descend\"],"
           " \"sum\": %llu}\n",
           (unsigned long long)x);
    return 0;
}
