// A file that only grows at its end and can be cut back to a remembered length. Private to
// engine/io.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::io {

/// "-" is standard output, which cannot be cut. Throws penstock::Error with the file's name. Writes
/// are buffered.
class AppendFile {
  public:
    enum class Existing { refuse, replace, append };

    AppendFile(std::string path, Existing existing) : path_(std::move(path)), existing_(existing) {}
    /// Writes out what is buffered as far as possible; call flush() to learn of problems.
    ~AppendFile();
    AppendFile(const AppendFile&) = delete;
    AppendFile& operator=(const AppendFile&) = delete;

    void append(std::string_view bytes);
    /// Hands everything to the system, where it survives the death of this process.
    void flush();
    /// And, for files, to the disk: once at the end, because it takes the time of the disk.
    void sync();
    /// JSON text with the length after a flush.
    std::string checkpoint();
    void restore(std::string_view checkpoint);

    const std::string& path() const { return path_; }

  private:
    void open();
    void drain();
    void end_torn_line();
    [[noreturn]] void fail(const char* what) const;

    std::string path_;
    Existing existing_;
    int fd_ = -1;
    std::string pending_;
    std::uint64_t length_ = 0;
    bool resumed_ = false;
};

}  // namespace penstock::io
