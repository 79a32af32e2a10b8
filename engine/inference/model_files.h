// Are a model's files all there and whole? Looks at sizes and headers, never loads weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace penstock::inference {

enum class ModelState {
    ok,
    incomplete,  ///< a file is missing or was not copied to its end; copying again helps
    invalid,     ///< a file is there and is not what it should be
};

struct ModelFiles {
    ModelState state = ModelState::ok;
    std::string reason;  ///< for people, naming the file and the remedy; empty when ok
    std::filesystem::path
        weights;  ///< what the model would be loaded from (an index of shards, too), if anything
    std::uint64_t weight_bytes = 0;  ///< the size of that file, or of all the shards
};

/// Throws std::filesystem::filesystem_error when the directory cannot be read.
ModelFiles inspect_model_files(const std::filesystem::path& directory);

}  // namespace penstock::inference
