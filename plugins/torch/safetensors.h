#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/torch/mapped_file.h"

namespace penstock::plugins::torch {

/// One tensor of a safetensors file, its bytes little-endian and row-major inside the mapped file.
struct StoredTensor {
    std::string dtype;  ///< as the format names it: "F32", "F16", "BF16", "I64"...
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;
    std::string file;  ///< file name, for messages
};

/// The tensors of a model directory by name: `model.safetensors`, the shards that
/// `model.safetensors.index.json` lists, or `model.fp16.safetensors` when it is the only one.
///
/// Opening checks each whole file before any byte is used: header length, JSON, known dtypes, shape
/// against extent, extents that follow each other without a gap or an overlap, and the file's size,
/// so that a half-copied or damaged model is named as such. Format: the safetensors README, section
/// "Format". Immutable afterwards; views into it live as long as the object.
class TensorStore {
  public:
    /// Throws ModelError naming the file and what is wrong with it.
    static TensorStore open(const std::filesystem::path& directory);
    /// Whether the directory holds weights that open() would look at.
    static bool present(const std::filesystem::path& directory);

    /// Null when there is no such tensor.
    const StoredTensor* find(std::string_view name) const;

  private:
    void add_file(const std::filesystem::path& path);

    std::vector<MappedFile> files_;
    std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace penstock::plugins::torch
