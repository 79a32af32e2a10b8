#include "engine/io/byte_input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

constexpr std::size_t kRawBlock = 256 * 1024;
constexpr std::size_t kSkipBlock = 256 * 1024;

std::string shown(const std::string& path) {
    return path == "-" ? "standard input" : path;
}

[[noreturn]] void fail_errno(const std::string& what, const std::string& path) {
    throw Error(what + " " + shown(path) + ": " + std::strerror(errno));
}

/// The bytes as they lie in the file, with a small look-ahead for recognising the compression.
class RawFile {
  public:
    RawFile(std::string path, const Wakeup* wakeup) : path_(std::move(path)), wakeup_(wakeup) {
        fd_ = path_ == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open_at_once();
        if (fd_ < 0) fail_errno("cannot open", path_);
        struct stat info {};
        if (::fstat(fd_, &info) == 0 && S_ISDIR(info.st_mode)) {
            ::close(fd_);
            throw Error("cannot read " + shown(path_) + ": it is a directory");
        }
        seekable_ = path_ != "-" && S_ISREG(info.st_mode);
    }
    ~RawFile() { ::close(fd_); }
    RawFile(const RawFile&) = delete;
    RawFile& operator=(const RawFile&) = delete;

    std::string_view peek(std::size_t size) {
        while (ahead_.size() < size) {
            char block[16];
            const std::size_t got = read_fd(block, std::min(sizeof block, size - ahead_.size()));
            if (got == 0) break;
            ahead_.append(block, got);
        }
        return ahead_;
    }

    std::size_t read(char* out, std::size_t size) {
        std::size_t got = 0;
        if (!ahead_.empty()) {
            got = std::min(size, ahead_.size());
            std::memcpy(out, ahead_.data(), got);
            ahead_.erase(0, got);
        } else {
            got = read_fd(out, size);
        }
        offset_ += got;
        return got;
    }

    bool seek(std::uint64_t offset) {
        struct stat info {};
        if (::fstat(fd_, &info) != 0) fail_errno("cannot examine", path_);
        if (offset > static_cast<std::uint64_t>(info.st_size)) return false;
        if (::lseek(fd_, static_cast<off_t>(offset), SEEK_SET) < 0)
            fail_errno("cannot seek in", path_);
        ahead_.clear();
        offset_ = offset;
        return true;
    }

    /// Bytes, the end or a fault are there; always so for files.
    bool ready() const {
        if (seekable_ || !ahead_.empty()) return true;
        ::pollfd waits = {fd_, POLLIN, 0};
        return ::poll(&waits, 1, 0) != 0;
    }

    bool seekable() const { return seekable_; }
    bool woken() const { return woken_; }
    std::uint64_t offset() const { return offset_; }
    const std::string& path() const { return path_; }

  private:
    /// Opening a named pipe would wait for a writer, where no wakeup could reach it; wait() does
    /// that instead. Afterwards reading blocks as usual.
    int open_at_once() const {
        const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) return fd;
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags >= 0) ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
        return fd;
    }

    std::size_t read_fd(char* out, std::size_t size) {
        for (;;) {
            if (!wait()) return 0;
            const ssize_t got = ::read(fd_, out, size);
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno != EINTR) {
                const std::string reason = std::strerror(errno);
                throw Error("cannot read " + shown(path_) + " at byte " + std::to_string(offset_) +
                            ": " + reason);
            }
        }
    }

    /// Until a pipe has something to say or was closed; false when woken before. A named pipe that
    /// nobody has opened for writing yet is waited for as well: reading it would look like the end.
    bool wait() {
        if (seekable_) return true;
        // poll() passes over a negative descriptor.
        ::pollfd waits[] = {{fd_, POLLIN, 0}, {wakeup_ != nullptr ? wakeup_->fd() : -1, POLLIN, 0}};
        while (::poll(waits, 2, -1) < 0) {
            if (errno != EINTR) return true;  // reading will say why
        }
        woken_ = waits[1].revents != 0;
        return !woken_;
    }

    std::string path_;
    const Wakeup* wakeup_;
    int fd_ = -1;
    bool seekable_ = false;
    bool woken_ = false;
    std::uint64_t offset_ = 0;
    std::string ahead_;
};

class PlainInput final : public ByteInput {
  public:
    explicit PlainInput(std::unique_ptr<RawFile> file) : file_(std::move(file)) {}

    std::size_t read(char* out, std::size_t size) override { return file_->read(out, size); }
    std::uint64_t raw_bytes() const override { return file_->offset(); }
    bool seekable() const override { return file_->seekable(); }
    bool ready() const override { return file_->ready(); }
    bool woken() const override { return file_->woken(); }

    bool skip_to(std::uint64_t offset) override {
        if (file_->seekable()) return file_->seek(offset);
        std::vector<char> block(kSkipBlock);
        while (file_->offset() < offset) {
            const auto want = std::min<std::uint64_t>(block.size(), offset - file_->offset());
            if (file_->read(block.data(), static_cast<std::size_t>(want)) == 0) return false;
        }
        return true;
    }

  private:
    std::unique_ptr<RawFile> file_;
};

/// What gzip and zstd share: a block of raw bytes, the decompressed offset, skipping, and the
/// wording of faults.
class CompressedInput : public ByteInput {
  public:
    CompressedInput(std::unique_ptr<RawFile> file, const char* name)
        : file_(std::move(file)), name_(name), block_(kRawBlock) {}

    std::size_t read(char* out, std::size_t size) final {
        const std::size_t got = size == 0 || broken() ? 0 : decode(out, size);
        if (got == 0 && !fault_.empty()) throw Error(fault_);
        offset_ += got;
        return got;
    }
    std::uint64_t raw_bytes() const final { return file_->offset(); }
    bool seekable() const final { return false; }
    bool woken() const final { return file_->woken(); }

    bool skip_to(std::uint64_t offset) final {
        std::vector<char> out(kSkipBlock);
        while (offset_ < offset) {
            const auto want = std::min<std::uint64_t>(out.size(), offset - offset_);
            if (read(out.data(), static_cast<std::size_t>(want)) == 0) return false;
        }
        return true;
    }

  protected:
    /// 0 at the end or after corrupt() or cut_off(). What was decoded before a fault still counts.
    virtual std::size_t decode(char* out, std::size_t size) = 0;
    bool broken() const { return !fault_.empty() || file_->woken(); }

    std::size_t refill() { return file_->read(block_.data(), block_.size()); }
    char* block() { return block_.data(); }

    void corrupt(const std::string& why, std::size_t unused) {
        fault_ = shown(file_->path()) + ": corrupt " + name_ + " data near compressed byte " +
                 std::to_string(file_->offset() - unused) + " (" + why + ")";
    }
    void cut_off() {
        if (file_->woken()) return;  // nothing is wrong with the data: nobody waits for the rest
        fault_ = shown(file_->path()) + ": the " + name_ + " data is cut off at compressed byte " +
                 std::to_string(file_->offset()) + "; the file is incomplete";
    }

  private:
    std::unique_ptr<RawFile> file_;
    const char* name_;
    std::vector<char> block_;
    std::uint64_t offset_ = 0;
    std::string fault_;
};

class GzipInput final : public CompressedInput {
  public:
    explicit GzipInput(std::unique_ptr<RawFile> file) : CompressedInput(std::move(file), "gzip") {
        constexpr int kGzipOnly = 15 + 16;
        if (inflateInit2(&stream_, kGzipOnly) != Z_OK)
            throw Error("cannot start gzip decompression: out of memory");
    }
    ~GzipInput() override { inflateEnd(&stream_); }

  private:
    std::size_t decode(char* out, std::size_t size) override {
        stream_.next_out = reinterpret_cast<Bytef*>(out);
        const std::size_t limited = std::min<std::size_t>(size, 1U << 30);
        stream_.avail_out = static_cast<uInt>(limited);
        while (stream_.avail_out == limited && !done_ && !broken())
            step();
        return limited - stream_.avail_out;
    }

    void step() {
        const bool more = stream_.avail_in > 0 || fill();
        if (!more && between_members_) {
            done_ = any_member_;
            if (!any_member_) cut_off();
            return;
        }
        if (between_members_ && !begin_member()) return;
        const uInt room = stream_.avail_out;
        const int rc = inflate(&stream_, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            between_members_ = true;
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            corrupt(stream_.msg != nullptr ? stream_.msg : "error " + std::to_string(rc),
                    stream_.avail_in);
        } else if (!more && stream_.avail_out == room) {
            cut_off();
        }
    }

    bool fill() {
        stream_.next_in = reinterpret_cast<Bytef*>(block());
        stream_.avail_in = static_cast<uInt>(refill());
        return stream_.avail_in > 0;
    }

    /// A further member, or the zero padding that tar and tapes leave behind; anything else is
    /// garbage.
    bool begin_member() {
        while (any_member_ && stream_.avail_in > 0 && *stream_.next_in == 0) {
            ++stream_.next_in;
            --stream_.avail_in;
        }
        if (stream_.avail_in == 0) return false;
        if (any_member_ && *stream_.next_in != 0x1f) {
            corrupt("unknown bytes after the end of the data", stream_.avail_in);
            return false;
        }
        inflateReset(&stream_);
        between_members_ = false;
        any_member_ = true;
        return true;
    }

    z_stream stream_{};
    bool between_members_ = true;
    bool any_member_ = false;
    bool done_ = false;
};

class ZstdInput final : public CompressedInput {
  public:
    explicit ZstdInput(std::unique_ptr<RawFile> file)
        : CompressedInput(std::move(file), "zstd"), context_(ZSTD_createDCtx()) {
        if (context_ == nullptr) throw Error("cannot start zstd decompression: out of memory");
    }
    ~ZstdInput() override { ZSTD_freeDCtx(context_); }

  private:
    std::size_t decode(char* out, std::size_t size) override {
        ZSTD_outBuffer target{out, size, 0};
        while (target.pos == 0) {
            if (input_.pos == input_.size && !pending_output_) {
                input_ = {block(), refill(), 0};
                if (input_.size == 0) {
                    if (in_frame_ || !any_frame_) cut_off();
                    return 0;
                }
            }
            const std::size_t rc = ZSTD_decompressStream(context_, &target, &input_);
            if (ZSTD_isError(rc) != 0) {
                corrupt(ZSTD_getErrorName(rc), input_.size - input_.pos);
                return target.pos;
            }
            in_frame_ = rc != 0;
            any_frame_ = true;
            // A full output buffer may hide more output that needs no further input.
            pending_output_ = target.pos == target.size && in_frame_;
        }
        return target.pos;
    }

    ZSTD_DCtx* context_;
    ZSTD_inBuffer input_{nullptr, 0, 0};
    bool in_frame_ = false;
    bool any_frame_ = false;
    bool pending_output_ = false;
};

Compression recognise(RawFile& file) {
    const std::string_view head = file.peek(4);
    if (head.substr(0, 2) == "\x1f\x8b") return Compression::gzip;
    if (head == "\x28\xb5\x2f\xfd") return Compression::zstd;
    // The extension counts only where the bytes are silent: an empty or damaged file then fails by
    // name.
    if (file.path().ends_with(".gz")) return Compression::gzip;
    if (file.path().ends_with(".zst")) return Compression::zstd;
    return Compression::none;
}

}  // namespace

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw Error(std::string("cannot make an event: ") + std::strerror(errno));
}
Wakeup::~Wakeup() {
    ::close(fd_);
}
void Wakeup::wake() {
    ::eventfd_write(fd_, 1);
}

std::unique_ptr<ByteInput> open_input(const std::string& path,
                                      std::optional<Compression> compression,
                                      const Wakeup* wakeup) {
    auto file = std::make_unique<RawFile>(path, wakeup);
    switch (compression ? *compression : recognise(*file)) {
        case Compression::gzip:
            return std::make_unique<GzipInput>(std::move(file));
        case Compression::zstd:
            return std::make_unique<ZstdInput>(std::move(file));
        case Compression::none:
            break;
    }
    return std::make_unique<PlainInput>(std::move(file));
}

}  // namespace penstock::io
