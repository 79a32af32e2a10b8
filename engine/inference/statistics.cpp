#include "engine/inference/statistics.h"

#include <algorithm>

namespace penstock::inference {

void MinuteWindow::add(Clock::time_point now, const Sums& sums) {
    advance(now);
    for (Sums* to : {&seconds_[static_cast<std::size_t>(current_ % 60)], &total_}) {
        to->count += sums.count;
        to->cache_hits += sums.cache_hits;
        to->nanoseconds += sums.nanoseconds;
    }
    peak_ = std::max(peak_, total_.count);
}

MinuteWindow::Sums MinuteWindow::last_minute(Clock::time_point now) {
    advance(now);
    return total_;
}

double MinuteWindow::recent_rate(Clock::time_point now) {
    advance(now);
    const std::int64_t span = std::min<std::int64_t>(current_, 9);
    std::int64_t count = 0;
    for (std::int64_t second = current_ - span; second <= current_; ++second) {
        count += seconds_[static_cast<std::size_t>(second % 60)].count;
    }
    const std::chrono::duration<double> in_current = now - start_ - std::chrono::seconds(current_);
    return static_cast<double>(count) /
           std::max(0.1, static_cast<double>(span) + in_current.count());
}

void MinuteWindow::advance(Clock::time_point now) {
    const auto second = std::chrono::duration_cast<std::chrono::seconds>(now - start_).count();
    if (second - current_ >= 60) {
        seconds_.fill({});
        total_ = {};
        current_ = second;
    }
    while (current_ < second) {
        ++current_;
        Sums& expired = seconds_[static_cast<std::size_t>(current_ % 60)];
        total_.count -= expired.count;
        total_.cache_hits -= expired.cache_hits;
        total_.nanoseconds -= expired.nanoseconds;
        expired = {};
    }
}

}  // namespace penstock::inference
