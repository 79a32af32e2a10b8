// How many allocations a deployment needs, by what it is asked to do.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/inference/deployment_config.h"

namespace penstock::inference {

/// A value that is measured again and again, each time with an error: a Kalman filter of one
/// dimension. A measurement far beyond the error so far is taken for a change, and followed at
/// once.
class Estimate {
  public:
    /// `variance` is that of the measurement.
    void add(double value, double variance);
    bool known() const { return known_; }
    double value() const { return value_; }
    double lower() const;  ///< one standard error below
    double upper() const;

  private:
    bool known_ = false;
    double value_ = 0;
    double variance_ = 0;
};

/// What a deployment has done since it was started.
struct LoadCounters {
    std::int64_t sequences = 0;             ///< texts that went through the model
    std::int64_t pending = 0;               ///< texts that wait, or are in the model now
    std::chrono::nanoseconds model_time{};  ///< of all sequences, on one allocation
};

struct AdaptiveTiming {
    std::chrono::seconds interval{10};        ///< between two looks
    std::chrono::seconds cool_down{300};      ///< after growing, before it shrinks
    std::chrono::seconds idle{24 * 60 * 60};  ///< without a request, before it has none left
};

/// Decides for one deployment, by Elasticsearch's rule: the load is the rate of requests times the
/// time of one, both estimated; an allocation is added while the load's lower bound is more than
/// 0.9 of the allocations, and taken away while its upper bound is less than 0.85 of one fewer.
/// Not thread-safe.
class AllocationScaler {
  public:
    using Time = std::chrono::steady_clock::time_point;

    explicit AllocationScaler(const AdaptiveTiming& timing = {}) : timing_(timing) {}

    /// The number that it should have, when it has `allocations` at `now`. Without a maximum at
    /// most 32. The first call only begins the count.
    int next(const LoadCounters& counters, int allocations, const AdaptiveAllocations& limits,
             Time now);

  private:
    void measure(const LoadCounters& counters, double seconds);
    int wanted(int allocations, const AdaptiveAllocations& limits, Time now) const;

    AdaptiveTiming timing_;
    Estimate rate_;  ///< texts a second
    Estimate time_;  ///< seconds a text
    std::optional<LoadCounters> last_;
    Time last_look_;
    Time last_request_;
    std::optional<Time> last_growth_;
};

}  // namespace penstock::inference
