// What the operating system says of this process and its machine (Linux: /proc).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace penstock::serve {

/// Bytes, milliseconds and counts; 0 where the system does not say.
struct ProcessStats {
    std::int64_t pid = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t cpu_millis = 0;  ///< user and system, of all threads
    std::uint64_t threads = 0;
    std::uint64_t open_files = 0;
    std::uint64_t max_files = 0;
    std::uint64_t total_memory_bytes = 0;  ///< of the machine, as are those below
    std::uint64_t available_memory_bytes = 0;
    std::uint64_t total_swap_bytes = 0;
    std::uint64_t free_swap_bytes = 0;
    std::array<double, 3> load_average{};  ///< 1, 5 and 15 minutes
    int processors = 1;
    std::string os_name;     ///< "Linux"
    std::string os_version;  ///< of the kernel
    std::string machine;     ///< "x86_64"

    /// 0 to 100: the machine's memory that cannot be had.
    int memory_percent() const;
};

/// Reads files below /proc, which never wait for a disk.
ProcessStats read_process_stats();

/// Bytes of the file system that holds `directory`.
struct DiskStats {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;
    std::uint64_t available_bytes = 0;  ///< to this user
};
DiskStats read_disk_stats(const std::filesystem::path& directory);

/// One thread and the processor time that it has had.
struct ThreadTime {
    std::int64_t id = 0;
    std::string name;
    std::int64_t cpu_nanos = 0;
};
/// All threads of this process.
std::vector<ThreadTime> read_thread_times();

}  // namespace penstock::serve
