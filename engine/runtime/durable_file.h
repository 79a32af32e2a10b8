// Files that are replaced whole or not at all, also when the power fails.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

/// Puts `bytes` in the place of `file`: whoever reads it, now or after a crash or a power failure,
/// finds the old bytes or the new ones. Readable by its owner alone. Makes the directory when it is
/// missing. One writer of a file at a time; blocks until the disk has it. Throws StorageError.
void replace_file(const std::filesystem::path& file, std::string_view bytes);

/// Waits until a file's bytes are on the disk. Throws StorageError.
void sync_file(const std::filesystem::path& file);
/// Waits until a directory's entries are on the disk, where its file system can do that: names of
/// new, renamed and deleted files survive a power failure only then. Throws StorageError.
void sync_directory(const std::filesystem::path& directory);

/// All of a file. Nothing when it cannot be read.
std::optional<std::string> read_file(const std::filesystem::path& file);

/// Held by one thread of one process at a time: for those who read a file, change it and replace
/// it. The lock is a file of its own beside it, NAME.lock, because the file is replaced. Blocks
/// until it is free. Throws StorageError.
class FileLock {
  public:
    explicit FileLock(const std::filesystem::path& file);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    int fd_;
};

}  // namespace penstock
