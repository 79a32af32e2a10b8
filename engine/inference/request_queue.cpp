#include "engine/inference/request_queue.h"

#include <iterator>

namespace penstock::inference {
namespace {

constexpr int kHighBatchesPerNormal = 3;

// Lengths that may share a batch: padding to the longer one adds at most a quarter, and 16 tokens
// for short texts.
bool similar(std::size_t shorter, std::size_t longer) {
    return longer <= shorter + shorter / 4 + 16;
}

}  // namespace

void RequestQueue::push(std::shared_ptr<Sequence> sequence) {
    sequence->number = next_number_++;
    sequence->queued = true;
    tokens_ += sequence->content.tokens();
    Lane& to = lane(sequence->priority);
    to.by_length.emplace(sequence->content.tokens(), sequence->number);
    const std::uint64_t number = sequence->number;
    to.by_age.emplace(number, std::move(sequence));
}

void RequestQueue::erase(Sequence& sequence) {
    pop(lane(sequence.priority), sequence.number);
}

void RequestQueue::raise(Sequence& sequence) {
    if (sequence.priority == RequestPriority::high) return;
    std::shared_ptr<Sequence> self = pop(lane(sequence.priority), sequence.number);
    self->priority = RequestPriority::high;
    self->queued = true;
    tokens_ += self->content.tokens();
    lane(self->priority).by_length.emplace(self->content.tokens(), self->number);
    lane(self->priority).by_age.emplace(self->number, self);
}

void RequestQueue::take(std::size_t token_budget, Clock::time_point now,
                        std::vector<std::shared_ptr<Sequence>>& out) {
    if (empty()) return;
    Lane& from = next_lane(now);
    const std::uint64_t oldest = from.by_age.begin()->first;
    const std::size_t anchor = from.by_age.begin()->second->content.tokens();
    const auto position = from.by_length.find({anchor, oldest});
    auto longer = std::next(position);
    auto shorter = std::make_reverse_iterator(position);
    std::size_t shortest = anchor;
    std::size_t longest = anchor;
    std::size_t used = anchor;
    std::vector<std::uint64_t> chosen{oldest};

    // Walks outwards from the anchor's length, the nearer side first, until nothing near fits.
    while (true) {
        const bool can_grow = longer != from.by_length.end() &&
                              used + longer->first <= token_budget &&
                              similar(shortest, longer->first);
        const bool can_shrink = shorter != from.by_length.rend() &&
                                used + shorter->first <= token_budget &&
                                similar(shorter->first, longest);
        if (!can_grow && !can_shrink) break;
        if (can_grow && (!can_shrink || longer->first - anchor <= anchor - shorter->first)) {
            longest = longer->first;
            used += longest;
            chosen.push_back(longer->second);
            ++longer;
        } else {
            shortest = shorter->first;
            used += shortest;
            chosen.push_back(shorter->second);
            ++shorter;
        }
    }
    for (const std::uint64_t number : chosen)
        out.push_back(pop(from, number));
}

RequestQueue::Lane& RequestQueue::next_lane(Clock::time_point now) {
    Lane& normal = lane(RequestPriority::normal);
    Lane& high = lane(RequestPriority::high);
    const bool normal_is_due = !normal.by_age.empty() && high_in_a_row_ >= kHighBatchesPerNormal &&
                               now - normal.by_age.begin()->second->queued_at > age_bound_;
    if (high.by_age.empty() || normal_is_due) {
        high_in_a_row_ = 0;
        return normal;
    }
    ++high_in_a_row_;
    return high;
}

std::shared_ptr<Sequence> RequestQueue::pop(Lane& from, std::uint64_t number) {
    const auto found = from.by_age.find(number);
    std::shared_ptr<Sequence> sequence = std::move(found->second);
    from.by_age.erase(found);
    from.by_length.erase({sequence->content.tokens(), number});
    tokens_ -= sequence->content.tokens();
    sequence->queued = false;
    return sequence;
}

}  // namespace penstock::inference
