#include "plugins/torch/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "plugins/torch/error.h"

namespace penstock::plugins::torch {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
    throw ModelError(
        text(path.string(), ": cannot be read: ", std::generic_category().message(error)));
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path_, errno);
    struct stat status {};
    void* memory = nullptr;
    int error = 0;
    if (::fstat(file, &status) != 0) {
        error = errno;
    } else if (!S_ISREG(status.st_mode)) {
        error = EINVAL;
    } else if (status.st_size > 0) {
        memory = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE,
                        file, 0);
        if (memory == MAP_FAILED) error = errno;
    }
    ::close(file);
    if (error != 0) fail(path_, error);
    data_ = static_cast<const std::byte*>(memory);
    size_ = static_cast<std::size_t>(status.st_size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace penstock::plugins::torch
