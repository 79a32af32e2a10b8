#include "tools/serve/process_stats.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace penstock::serve {

namespace fs = std::filesystem;

namespace {

std::string first_line(const fs::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

/// The number behind "name:" in a file of such lines, which gives kilobytes for memory.
std::uint64_t field(const std::string& text, const std::string& name) {
    const std::size_t at = text.find(name + ":");
    return at == std::string::npos
               ? 0
               : std::strtoull(text.c_str() + at + name.size() + 1, nullptr, 10);
}

std::string whole(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void read_machine(ProcessStats& stats) {
    constexpr std::uint64_t kilo = 1024;
    const std::string memory = whole("/proc/meminfo");
    stats.total_memory_bytes = field(memory, "MemTotal") * kilo;
    stats.available_memory_bytes = field(memory, "MemAvailable") * kilo;
    stats.total_swap_bytes = field(memory, "SwapTotal") * kilo;
    stats.free_swap_bytes = field(memory, "SwapFree") * kilo;
    std::istringstream load(first_line("/proc/loadavg"));
    for (double& average : stats.load_average)
        load >> average;
    stats.processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    utsname system{};
    ::uname(&system);
    stats.os_name = system.sysname;
    stats.os_version = system.release;
    stats.machine = system.machine;
}

std::uint64_t count_entries(const fs::path& directory) {
    std::error_code unreadable;
    const fs::directory_iterator entries(directory, unreadable);
    return static_cast<std::uint64_t>(std::distance(begin(entries), end(entries)));
}

std::uint64_t millis(const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1000 +
           static_cast<std::uint64_t>(time.tv_usec) / 1000;
}

/// Nanoseconds on a processor, from schedstat's first number; kernels without it say clock ticks in
/// stat, after the name in parentheses.
std::int64_t cpu_nanos(const fs::path& task) {
    const std::string scheduled = first_line(task / "schedstat");
    if (!scheduled.empty()) return std::strtoll(scheduled.c_str(), nullptr, 10);
    const std::string stat = first_line(task / "stat");
    std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
    std::string skipped;
    constexpr int before_times = 11;
    for (int i = 0; i < before_times; ++i)
        fields >> skipped;
    std::int64_t user = 0;
    std::int64_t system = 0;
    fields >> user >> system;
    return (user + system) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace

int ProcessStats::memory_percent() const {
    if (total_memory_bytes == 0) return 0;
    return static_cast<int>(100 - available_memory_bytes * 100 / total_memory_bytes);
}

ProcessStats read_process_stats() {
    constexpr std::uint64_t kilo = 1024;
    ProcessStats stats;
    stats.pid = ::getpid();
    const std::string status = whole("/proc/self/status");
    stats.rss_bytes = field(status, "VmRSS") * kilo;
    stats.virtual_bytes = field(status, "VmSize") * kilo;
    stats.threads = field(status, "Threads");
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    stats.cpu_millis = millis(usage.ru_utime) + millis(usage.ru_stime);
    stats.open_files = count_entries("/proc/self/fd");
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    stats.max_files = limit.rlim_cur;
    read_machine(stats);
    return stats;
}

DiskStats read_disk_stats(const fs::path& directory) {
    std::error_code unreadable;
    const fs::space_info space = fs::space(directory, unreadable);
    if (unreadable) return {};
    return {space.capacity, space.free, space.available};
}

std::vector<ThreadTime> read_thread_times() {
    std::vector<ThreadTime> threads;
    std::error_code unreadable;
    for (const auto& task : fs::directory_iterator("/proc/self/task", unreadable)) {
        const std::int64_t id = std::strtoll(task.path().filename().c_str(), nullptr, 10);
        threads.push_back({id, first_line(task.path() / "comm"), cpu_nanos(task.path())});
    }
    return threads;
}

}  // namespace penstock::serve
