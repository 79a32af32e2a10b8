#include "engine/io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {
constexpr std::size_t kBuffer = 1UL << 20;
}

AppendFile::~AppendFile() {
    if (fd_ < 0) return;
    try {
        drain();
    } catch (const Error&) {
        // Whoever needs to know has called flush().
    }
    if (path_ != "-") ::close(fd_);
}

void AppendFile::fail(const char* what) const {
    const std::string reason = std::strerror(errno);
    throw Error(std::string(what) + " " + (path_ == "-" ? "standard output" : path_) + ": " +
                reason);
}

void AppendFile::open() {
    if (fd_ >= 0) return;
    if (path_ == "-") {
        fd_ = STDOUT_FILENO;
        return;
    }
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("cannot open for writing");
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail("cannot examine");
    length_ = S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
    if (length_ == 0 || resumed_) return;
    if (existing_ == Existing::refuse) {
        ::close(fd_);
        fd_ = -1;
        throw Error("the file " + path_ +
                    " exists and is not empty; resume into it, overwrite it, or name another");
    }
    if (existing_ == Existing::replace) {
        if (::ftruncate(fd_, 0) != 0) fail("cannot empty");
        length_ = 0;
    } else {
        end_torn_line();
    }
}

/// A process killed while writing may have left half a line; ours must not be glued to it.
void AppendFile::end_torn_line() {
    char last = '\n';
    if (::pread(fd_, &last, 1, static_cast<off_t>(length_ - 1)) != 1) fail("cannot read");
    if (::lseek(fd_, 0, SEEK_END) < 0) fail("cannot seek in");
    if (last != '\n') pending_ = "\n";
}

void AppendFile::append(std::string_view bytes) {
    open();
    pending_.append(bytes);
    if (pending_.size() >= kBuffer) drain();
}

void AppendFile::drain() {
    std::string_view rest = pending_;
    while (!rest.empty()) {
        const ssize_t written = ::write(fd_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            pending_.erase(0, pending_.size() - rest.size());
            fail("cannot write to");
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
        length_ += static_cast<std::uint64_t>(written);
    }
    pending_.clear();
}

void AppendFile::flush() {
    if (fd_ >= 0) drain();
}

void AppendFile::sync() {
    flush();
    if (fd_ < 0) return;
    // Pipes and terminals answer EINVAL or EROFS: there is nothing to sync.
    if (path_ != "-" && ::fdatasync(fd_) != 0 && errno != EINVAL && errno != EROFS)
        fail("cannot write to");
}

std::string AppendFile::checkpoint() {
    if (fd_ < 0 && existing_ == Existing::append) {
        // Nothing has been appended yet, and perhaps nothing will be: no file is made for that.
        struct stat info {};
        length_ = ::stat(path_.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
    } else {
        open();
        flush();
    }
    std::string json = "{";
    append_member(json, "kind", path_ == "-" ? "stream" : "file");
    append_member(json, "length", static_cast<std::int64_t>(length_));
    finish_object(json);
    return json;
}

void AppendFile::restore(std::string_view checkpoint) {
    const auto saved = parse_flat(checkpoint);
    if (!saved || !saved->contains("length"))
        throw Error("cannot resume: the checkpoint of " + path_ + " is damaged");
    if (path_ == "-" || saved->at("kind") != "file") {
        throw Error(
            "cannot resume into standard output: what was printed cannot be taken back; write to a "
            "file");
    }
    const std::string& digits = saved->at("length");
    std::uint64_t length = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), length);
    resumed_ = true;
    struct stat info {};
    if (length == 0 && existing_ == Existing::append && ::stat(path_.c_str(), &info) != 0) return;
    open();
    if (length_ < length) {
        throw Error("cannot resume: " + path_ +
                    " is shorter than when the checkpoint was made; it was changed");
    }
    if (::ftruncate(fd_, static_cast<off_t>(length)) != 0) fail("cannot cut");
    if (::lseek(fd_, static_cast<off_t>(length), SEEK_SET) < 0) fail("cannot seek in");
    length_ = length;
    if (length_ > 0) end_torn_line();
}

}  // namespace penstock::io
