#include "engine/runtime/durable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "engine/runtime/error.h"

namespace penstock {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& file, int problem) {
    throw StorageError("cannot write " + file.native() + ": " + std::strerror(problem));
}

fs::path directory_of(const fs::path& file) {
    return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

void make_directory(const fs::path& directory) {
    std::error_code problem;
    fs::create_directories(directory, problem);
    if (problem) throw StorageError("cannot make " + directory.native() + ": " + problem.message());
}

int open_file(const fs::path& file, int flags) {
    const int fd = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
    if (fd < 0) fail(file, errno);
    return fd;
}

/// An open file, closed at the end.
class Descriptor {
  public:
    Descriptor(const fs::path& file, int flags) : file_(file), fd_(open_file(file, flags)) {}
    ~Descriptor() { ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    void write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ::ssize_t written = ::write(fd_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) fail(file_, errno);
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    /// 0 or the problem.
    int sync() const { return ::fsync(fd_) == 0 ? 0 : errno; }

  private:
    const fs::path& file_;
    int fd_;
};

void write_synced(const fs::path& file, std::string_view bytes) {
    const Descriptor out(file, O_WRONLY | O_CREAT | O_TRUNC);
    out.write(bytes);
    if (const int problem = out.sync()) fail(file, problem);
}

}  // namespace

void replace_file(const fs::path& file, std::string_view bytes) {
    make_directory(directory_of(file));
    const fs::path next = file.native() + ".next";
    try {
        write_synced(next, bytes);
        if (std::rename(next.c_str(), file.c_str()) != 0) fail(file, errno);
    } catch (...) {
        std::error_code ignored;
        fs::remove(next, ignored);
        throw;
    }
    sync_directory(directory_of(file));
}

void sync_file(const fs::path& file) {
    if (const int problem = Descriptor(file, O_RDONLY).sync()) fail(file, problem);
}

void sync_directory(const fs::path& directory) {
    const int problem = Descriptor(directory, O_RDONLY | O_DIRECTORY).sync();
    // Some file systems cannot sync a directory and say EINVAL.
    if (problem != 0 && problem != EINVAL) fail(directory, problem);
}

std::optional<std::string> read_file(const fs::path& file) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return std::nullopt;
    std::ifstream in(file, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in) return std::nullopt;
    return bytes;
}

FileLock::FileLock(const fs::path& file) {
    make_directory(directory_of(file));
    const fs::path lock = file.native() + ".lock";
    fd_ = open_file(lock, O_RDWR | O_CREAT);
    while (::flock(fd_, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        const int problem = errno;
        ::close(fd_);
        fail(lock, problem);
    }
}

FileLock::~FileLock() {
    ::close(fd_);
}

}  // namespace penstock
