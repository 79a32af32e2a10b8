// What a deployment counts.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace penstock::inference {

/// A snapshot under Elasticsearch's names (GET _ml/trained_models/_stats); what it does not have
/// stands below. Times of day are milliseconds since 1970.
struct DeploymentStats {
    std::string deployment_id;
    std::string model_id;
    std::string state;
    std::string reason;
    std::string priority;
    std::int64_t allocation_count = 0;
    std::int64_t target_allocation_count = 0;
    std::int64_t threads_per_allocation = 0;
    std::int64_t queue_capacity = 0;
    std::int64_t cache_size = 0;  ///< limit in bytes
    std::int64_t model_size_bytes = 0;
    std::int64_t start_time = 0;
    std::optional<std::int64_t> last_access;
    std::int64_t inference_count = 0;  ///< texts answered with a result, cache hits included
    std::int64_t inference_cache_hit_count = 0;
    std::int64_t inference_cache_hit_count_last_minute = 0;
    std::int64_t cache_miss_count = 0;
    std::int64_t error_count = 0;    ///< texts that the model failed on
    std::int64_t timeout_count = 0;  ///< texts, as are all counts here
    std::int64_t rejected_execution_count = 0;
    std::int64_t number_of_pending_requests = 0;  ///< queued or in the model
    std::int64_t throughput_last_minute = 0;
    std::int64_t peak_throughput_per_minute = 0;
    /// Allocation time per text: of a batch's time each text bears an equal share. allocations /
    /// this = throughput.
    std::optional<double> average_inference_time_ms;
    std::optional<double> average_inference_time_ms_last_minute;
    std::optional<double> average_inference_time_ms_excluding_cache_hits;

    // Not in the reference.
    std::int64_t number_of_waiting_requests =
        0;                          ///< held back by callers that wait for room in the queue
    std::int64_t shared_count = 0;  ///< texts answered by another caller's identical text in flight
    std::int64_t truncated_count = 0;  ///< texts whose end the model did not see
    std::int64_t cancelled_count = 0;
    std::int64_t batch_count = 0;
    std::int64_t retried_batch_count = 0;  ///< batches that failed and were run again text by text
    std::int64_t token_count = 0;          ///< tokens that went through the model
    std::int64_t cache_bytes = 0;
    std::optional<double> average_queue_time_ms;  ///< from queue to model

    friend bool operator==(const DeploymentStats&, const DeploymentStats&) = default;
};

/// Calls `field(name, value)` for each field in a fixed order; the one list that JSON, tables and
/// metrics come from. Values are std::string, std::int64_t, or std::optional of std::int64_t or
/// double.
template <class F>
void for_each_field(const DeploymentStats& stats, F&& field) {
    field("deployment_id", stats.deployment_id);
    field("model_id", stats.model_id);
    field("state", stats.state);
    field("reason", stats.reason);
    field("priority", stats.priority);
    field("allocation_count", stats.allocation_count);
    field("target_allocation_count", stats.target_allocation_count);
    field("threads_per_allocation", stats.threads_per_allocation);
    field("queue_capacity", stats.queue_capacity);
    field("cache_size", stats.cache_size);
    field("model_size_bytes", stats.model_size_bytes);
    field("start_time", stats.start_time);
    field("last_access", stats.last_access);
    field("inference_count", stats.inference_count);
    field("inference_cache_hit_count", stats.inference_cache_hit_count);
    field("inference_cache_hit_count_last_minute", stats.inference_cache_hit_count_last_minute);
    field("cache_miss_count", stats.cache_miss_count);
    field("error_count", stats.error_count);
    field("timeout_count", stats.timeout_count);
    field("rejected_execution_count", stats.rejected_execution_count);
    field("number_of_pending_requests", stats.number_of_pending_requests);
    field("throughput_last_minute", stats.throughput_last_minute);
    field("peak_throughput_per_minute", stats.peak_throughput_per_minute);
    field("average_inference_time_ms", stats.average_inference_time_ms);
    field("average_inference_time_ms_last_minute", stats.average_inference_time_ms_last_minute);
    field("average_inference_time_ms_excluding_cache_hits",
          stats.average_inference_time_ms_excluding_cache_hits);
    field("number_of_waiting_requests", stats.number_of_waiting_requests);
    field("shared_count", stats.shared_count);
    field("truncated_count", stats.truncated_count);
    field("cancelled_count", stats.cancelled_count);
    field("batch_count", stats.batch_count);
    field("retried_batch_count", stats.retried_batch_count);
    field("token_count", stats.token_count);
    field("cache_bytes", stats.cache_bytes);
    field("average_queue_time_ms", stats.average_queue_time_ms);
}

/// Sums over the last 60 seconds, in steps of one second, and the highest count any 60 seconds had.
/// Not thread-safe.
class MinuteWindow {
  public:
    using Clock = std::chrono::steady_clock;
    struct Sums {
        std::int64_t count = 0;
        std::int64_t cache_hits = 0;
        std::int64_t nanoseconds = 0;
    };

    explicit MinuteWindow(Clock::time_point start) : start_(start) {}

    void add(Clock::time_point now, const Sums& sums);
    Sums last_minute(Clock::time_point now);
    std::int64_t peak_count() const { return peak_; }
    /// Counts per second over the last ten seconds (or since the start); 0 when there were none.
    double recent_rate(Clock::time_point now);

  private:
    void advance(Clock::time_point now);

    Clock::time_point start_;
    std::array<Sums, 60> seconds_{};
    std::int64_t current_ = 0;  // the second since start_ that add() writes to
    Sums total_;
    std::int64_t peak_ = 0;
};

}  // namespace penstock::inference
