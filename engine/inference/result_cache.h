// The cache of results of one deployment.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>

#include "engine/inference/content.h"
#include "engine/inference/task.h"

namespace penstock::inference {

/// Results by content; the least recently used leave when the byte limit is reached. Not
/// thread-safe.
class ResultCache {
  public:
    /// 0 turns the cache off.
    explicit ResultCache(std::uint64_t byte_limit) : byte_limit_(byte_limit) {}

    /// Null when absent.
    std::shared_ptr<const TaskOutput> find(const Content& content);
    /// Does nothing when the result alone passes the limit.
    void insert(const Content& content, std::shared_ptr<const TaskOutput> output);
    void clear();

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t byte_limit() const { return byte_limit_; }
    std::size_t size() const { return by_content_.size(); }

  private:
    struct Item {
        Content content;
        std::shared_ptr<const TaskOutput> output;
        std::uint64_t bytes;
    };

    void drop_oldest();

    std::uint64_t byte_limit_;
    std::uint64_t bytes_ = 0;
    std::list<Item> by_use_;  // the most recently used first
    std::unordered_map<Content, std::list<Item>::iterator, ContentHash> by_content_;
};

}  // namespace penstock::inference
