// Loads the plugins named on the command line and prints what they have, a line each; for the
// outside-the-tree test.
#include <cstdio>

#include "engine/plugin/loader.h"
#include "engine/runtime/error.h"

int main(int argc, char** argv) {
    try {
        for (int i = 1; i < argc; ++i) {
            const auto library = penstock::plugin::Library::load(argv[i]);
            std::printf("%s %s %zu %zu\n", std::string(library.name()).c_str(),
                        std::string(library.version()).c_str(), library.processors().size(),
                        library.backends().size());
        }
    } catch (const penstock::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
