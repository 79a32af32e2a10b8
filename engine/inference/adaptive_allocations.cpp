#include "engine/inference/adaptive_allocations.h"

#include <algorithm>
#include <cmath>

namespace penstock::inference {

namespace {

constexpr double kGrowAbove = 0.9;
constexpr double kShrinkBelow = 0.85;
constexpr int kMostWithoutLimit = 32;
/// What is measured changes slowly by itself: by this part of a measurement's variance each time.
constexpr double kSmoothing = 100;
/// Squared errors beyond which it is no measuring error any more.
constexpr double kChange = 100;

}  // namespace

void Estimate::add(double value, double variance) {
    if (!known_) {
        known_ = true;
        value_ = value;
        variance_ = variance;
        return;
    }
    const double difference = value - value_;
    const bool changed = difference * difference > kChange * (variance + variance_);
    const double drift = changed ? difference * difference : variance / kSmoothing;
    const double gain = (variance_ + drift) / (variance_ + drift + variance);
    value_ += gain * difference;
    variance_ = (1 - gain) * (variance_ + drift);
}

double Estimate::lower() const {
    return std::max(0.0, value_ - std::sqrt(variance_));
}

double Estimate::upper() const {
    return value_ + std::sqrt(variance_);
}

int AllocationScaler::next(const LoadCounters& counters, int allocations,
                           const AdaptiveAllocations& limits, Time now) {
    const double seconds = std::chrono::duration<double>(now - last_look_).count();
    if (!last_ || counters.sequences > last_->sequences || counters.pending > 0)
        last_request_ = now;
    if (last_ && seconds > 0) measure(counters, seconds);
    last_ = counters;
    last_look_ = now;
    const int number = wanted(allocations, limits, now);
    if (number > allocations) last_growth_ = now;
    const bool cooling = last_growth_ && now - *last_growth_ < timing_.cool_down;
    return number < allocations && cooling ? allocations : number;
}

/// Requests come as a Poisson process does, whose count has its mean as its variance; a count below
/// one is no measurement. The times of single texts are taken to scatter as much as they last.
void AllocationScaler::measure(const LoadCounters& counters, double seconds) {
    const auto done = static_cast<double>(counters.sequences - last_->sequences);
    const double came =
        std::max(0.0, done + static_cast<double>(counters.pending - last_->pending));
    const double expected = rate_.known() ? rate_.value() * seconds : came;
    rate_.add(came / seconds, std::max(1.0, expected) / (seconds * seconds));
    if (done < 1) return;
    const double time =
        std::chrono::duration<double>(counters.model_time - last_->model_time).count() / done;
    const double known = time_.known() ? time_.value() : time;
    time_.add(time, known * known / done);
}

int AllocationScaler::wanted(int allocations, const AdaptiveAllocations& limits, Time now) const {
    const int least = limits.min_number_of_allocations.value_or(0);
    const int most = limits.max_number_of_allocations.value_or(std::max(least, kMostWithoutLimit));
    if (least == 0 && now - last_request_ >= timing_.idle) return 0;
    int number = std::max(allocations, last_request_ == now ? 1 : 0);
    if (rate_.known() && time_.known() && number > 0) {
        const double lower = rate_.lower() * time_.lower();
        const double upper = rate_.upper() * time_.upper();
        while (number < most && lower / number > kGrowAbove)
            ++number;
        while (number > 1 && upper / (number - 1) < kShrinkBelow)
            --number;
    }
    return std::clamp(number, least, most);
}

}  // namespace penstock::inference
