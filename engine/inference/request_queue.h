// The order in which a deployment's texts reach the model.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/inference/content.h"
#include "engine/inference/request.h"

namespace penstock::inference {

struct Call;

/// One text of one call that waits for a sequence.
struct Waiter {
    std::shared_ptr<Call> call;
    std::size_t item = 0;
};

/// One model input on its way, with everybody who asked for it.
struct Sequence {
    Content content;
    RequestPriority priority = RequestPriority::normal;
    std::chrono::steady_clock::time_point queued_at;
    std::uint64_t number = 0;  ///< the order of arrival, given by RequestQueue::push
    bool queued = false;
    std::vector<Waiter> waiters;
};

/// Waiting sequences, and the choice of the next batch. Each batch starts with the oldest sequence
/// of its lane, so nothing starves behind texts of better fitting lengths; it is filled with those
/// whose lengths are nearest, so that a backend that pads has little to pad. The lane of high
/// priority goes first, but when normal's oldest has waited longer than the age bound, every fourth
/// batch is normal's. Not thread-safe.
class RequestQueue {
  public:
    using Clock = std::chrono::steady_clock;

    explicit RequestQueue(Clock::duration age_bound) : age_bound_(age_bound) {}

    void push(std::shared_ptr<Sequence> sequence);
    void erase(Sequence& sequence);
    /// Moves a queued sequence to the lane of high priority; it keeps its age.
    void raise(Sequence& sequence);
    /// Appends the next batch to `out`: at most `token_budget` tokens, or a single longer sequence.
    void take(std::size_t token_budget, Clock::time_point now,
              std::vector<std::shared_ptr<Sequence>>& out);

    bool empty() const { return size() == 0; }
    std::size_t size() const { return lanes_[0].by_age.size() + lanes_[1].by_age.size(); }
    std::size_t tokens() const { return tokens_; }

  private:
    struct Lane {
        std::map<std::uint64_t, std::shared_ptr<Sequence>> by_age;
        std::set<std::pair<std::size_t, std::uint64_t>> by_length;
    };

    Lane& lane(RequestPriority priority) { return lanes_[static_cast<std::size_t>(priority)]; }
    Lane& next_lane(Clock::time_point now);
    std::shared_ptr<Sequence> pop(Lane& lane, std::uint64_t number);

    Clock::duration age_bound_;
    std::array<Lane, 2> lanes_;
    std::size_t tokens_ = 0;
    std::uint64_t next_number_ = 0;
    int high_in_a_row_ = 0;
};

}  // namespace penstock::inference
