// Pipeline definitions of arbitrary bytes: may be refused, must not crash, hang or grow.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/pipeline/definition.h"

extern "C" __attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(
    const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    penstock::pipeline::DefinitionLimits limits{
        .max_bytes = 65536, .max_depth = 64, .max_nodes = 10000};
    for (const char* file : {"fuzz.yml", "fuzz.json"}) {
        penstock::pipeline::Diagnostics diagnostics;
        auto definition =
            penstock::pipeline::parse_definition(text, file, "fuzz", diagnostics, limits);
        if (!definition && !diagnostics.has_errors()) __builtin_trap();
    }
    return 0;
}
