// How much is done with each index, for its statistics.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace penstock::serve {

/// Requests for documents since the server started.
struct IndexCounts {
    std::uint64_t indexed = 0;
    std::uint64_t index_failed = 0;
    std::uint64_t deleted = 0;
    std::chrono::nanoseconds writing{0};
    std::uint64_t found = 0;  ///< by their ids
    std::chrono::nanoseconds finding{0};
    std::uint64_t missing = 0;
    std::chrono::nanoseconds missing_time{0};
    std::uint64_t searches = 0;
    std::chrono::nanoseconds searching{0};

    IndexCounts& operator+=(const IndexCounts& more);
};

/// Thread-safe.
class IndexActivity {
  public:
    void add(const std::string& index, const IndexCounts& more);
    IndexCounts of(const std::string& index) const;
    /// When the index is deleted.
    void forget(const std::string& index);

  private:
    mutable std::mutex mutex_;
    std::map<std::string, IndexCounts, std::less<>> counts_;
};

}  // namespace penstock::serve
