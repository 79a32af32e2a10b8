// Bytes of a file or of standard input, decompressed on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace penstock::io {

enum class Compression { none, gzip, zstd };

/// A forward stream of bytes. One thread at a time.
class ByteInput {
  public:
    virtual ~ByteInput() = default;

    /// Reads up to `size` bytes; 0 means the end. Throws penstock::Error, naming the input and the
    /// offset, when the device fails or compressed data is corrupt or cut off. Bytes before the
    /// fault have been delivered by then.
    virtual std::size_t read(char* out, std::size_t size) = 0;

    /// Whether read() would return without waiting for somebody else. Always so for files; of
    /// compressed pipes it is not known, and they count as ready.
    virtual bool ready() const { return true; }

    /// True when the end was no end: somebody has ended the waiting for a pipe (see Wakeup).
    virtual bool woken() const { return false; }

    /// Goes on at decompressed offset `offset`, which must not lie behind what was read. Plain
    /// files seek, all others read and discard. False when the input ends before it.
    virtual bool skip_to(std::uint64_t offset) = 0;

    /// True for a plain regular file: decompressed offsets are the file's own, and skip_to costs
    /// nothing.
    virtual bool seekable() const = 0;

    /// Bytes taken so far from the file itself (compressed bytes for a compressed file): for
    /// progress.
    virtual std::uint64_t raw_bytes() const = 0;
};

/// Ends the waiting for a pipe, from any thread, for good.
class Wakeup {
  public:
    Wakeup();
    ~Wakeup();
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;

    void wake();
    int fd() const { return fd_; }

  private:
    int fd_;
};

/// Opens `path` ("-" is standard input). Without `compression` it is told from the first bytes
/// (gzip and zstd begin with numbers that no text begins with) and from the extensions .gz and
/// .zst. A named pipe is opened whether or not anybody writes to it yet; reading waits for that.
/// With `wakeup`, which must outlive the input, a pipe ends when that is woken. Throws
/// penstock::Error.
std::unique_ptr<ByteInput> open_input(const std::string& path,
                                      std::optional<Compression> compression = std::nullopt,
                                      const Wakeup* wakeup = nullptr);

}  // namespace penstock::io
