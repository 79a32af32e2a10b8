#include "engine/inference/result_cache.h"

#include <utility>

namespace penstock::inference {
namespace {

// List and hash nodes, control blocks and allocator headers of one entry, roughly.
constexpr std::uint64_t kEntryOverhead = 256;

}  // namespace

std::shared_ptr<const TaskOutput> ResultCache::find(const Content& content) {
    const auto found = by_content_.find(content);
    if (found == by_content_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->output;
}

void ResultCache::insert(const Content& content, std::shared_ptr<const TaskOutput> output) {
    const std::uint64_t bytes =
        kEntryOverhead + memory_bytes(*output) + content.ids->capacity() * sizeof(std::int32_t);
    if (bytes > byte_limit_ || by_content_.contains(content)) return;
    while (bytes_ + bytes > byte_limit_)
        drop_oldest();
    by_use_.push_front({content, std::move(output), bytes});
    by_content_.emplace(content, by_use_.begin());
    bytes_ += bytes;
}

void ResultCache::clear() {
    by_content_.clear();
    by_use_.clear();
    bytes_ = 0;
}

void ResultCache::drop_oldest() {
    bytes_ -= by_use_.back().bytes;
    by_content_.erase(by_use_.back().content);
    by_use_.pop_back();
}

}  // namespace penstock::inference
