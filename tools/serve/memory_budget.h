// How much memory the bodies of all requests may take together.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace penstock::serve {

/// Thread-safe. A limit of bytes that leases share.
class MemoryBudget {
  public:
    explicit MemoryBudget(std::size_t limit) : limit_(limit) {}

    std::size_t limit() const { return limit_; }
    std::size_t used() const { return used_.load(std::memory_order_relaxed); }

    bool take(std::size_t bytes) {
        if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
        give_back(bytes);
        refusals_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    /// How often there was not enough.
    std::uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }
    void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  private:
    std::size_t limit_;
    std::atomic<std::size_t> used_{0};
    std::atomic<std::uint64_t> refusals_{0};
};

/// Gives back at the end of its life what it has taken.
class MemoryLease {
  public:
    explicit MemoryLease(MemoryBudget& budget) : budget_(budget) {}
    ~MemoryLease() { budget_.give_back(bytes_); }
    MemoryLease(const MemoryLease&) = delete;
    MemoryLease& operator=(const MemoryLease&) = delete;

    std::size_t bytes() const { return bytes_; }
    /// False, and nothing changed, when the budget is spent.
    bool grow_to(std::size_t bytes) {
        if (bytes <= bytes_) return true;
        if (!budget_.take(bytes - bytes_)) return false;
        bytes_ = bytes;
        return true;
    }

  private:
    MemoryBudget& budget_;
    std::size_t bytes_ = 0;
};

}  // namespace penstock::serve
