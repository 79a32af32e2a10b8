// The live line of a long command.
#pragma once

#include <chrono>
#include <string>

#include "engine/job/reindex.h"

namespace penstock::tools {

/// "1,234 documents  812 docs/s  40 %  1m 12s left": rewritten in place on a terminal, a plain line
/// every few seconds elsewhere. Writes to stderr.
class ProgressLine {
  public:
    /// `quiet`: write nothing.
    explicit ProgressLine(bool quiet);
    void update(const job::ReindexStatus& status);
    /// Ends the line with the last numbers.
    void finish(const job::ReindexStatus& status);

  private:
    void write(const job::ReindexStatus& status, bool last);

    bool quiet_;
    bool terminal_;
    std::chrono::steady_clock::time_point next_;
    std::size_t width_ = 0;
};

/// 1234567 as "1,234,567".
std::string group_digits(std::uint64_t number);
/// "350 ms", "12 s", "3m 05s", "2h 10m".
std::string human_duration(std::chrono::nanoseconds duration);

}  // namespace penstock::tools
