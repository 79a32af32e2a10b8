#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace penstock::plugins::torch {

/// A file mapped read-only for as long as the object lives. Throws ModelError when it cannot be
/// read.
class MappedFile {
  public:
    explicit MappedFile(std::filesystem::path path);
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&&) = delete;
    ~MappedFile();

    const std::filesystem::path& path() const { return path_; }
    std::span<const std::byte> bytes() const { return {data_, size_}; }

  private:
    std::filesystem::path path_;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace penstock::plugins::torch
