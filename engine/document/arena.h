// Memory of one batch: bump allocation, freed all at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::document {

/// Hands out memory that lives until `reset`. Everything in it is trivially destructible, so a
/// reset is O(blocks) and keeps the memory for the next batch: steady state allocates nothing.
/// Values that a pipeline replaces stay behind as garbage until then: a batch's garbage is bounded
/// by its bytes times its steps, and ends with the batch. Measured: 10,000 rounds of setting and
/// removing a field of 200 bytes leave 2.1 MB, hardly more than the 2 MB that were written
/// (Boost.JSON's object over its monotonic_resource: 4 MiB). Not thread-safe: an arena belongs to
/// its batch and moves with it.
///
/// Why not std::pmr or Boost.JSON's monotonic_resource: both make every value carry or consult a
/// resource pointer (24 to 32 bytes a value) and both copy silently when a value moves between
/// resources; here a value is a 16-byte handle, moving is copying the handle, and a copy between
/// arenas is written out as `clone`.
class Arena {
  public:
    static constexpr std::size_t first_block = 16 * 1024;
    static constexpr std::size_t largest_block = 1024 * 1024;

    Arena() = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
        std::uintptr_t at = (cursor_ + alignment - 1) & ~(alignment - 1);
        if (at + bytes > end_ || cursor_ == 0) {
            next_block(bytes + alignment);
            at = (cursor_ + alignment - 1) & ~(alignment - 1);
        }
        cursor_ = at + bytes;
        return reinterpret_cast<void*>(at);
    }

    template <class T>
    T* allocate_array(std::size_t count) {
        return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
    }

    template <class T, class... Args>
    T* make(Args&&... args) {
        static_assert(std::is_trivially_destructible_v<T>);
        return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
    }

    /// A copy of `text` in this arena.
    std::string_view copy(std::string_view text) {
        if (text.empty()) return {};
        char* at = static_cast<char*>(allocate(text.size(), 1));
        std::memcpy(at, text.data(), text.size());
        return {at, text.size()};
    }

    /// Bytes handed out or skipped since the last reset.
    std::size_t used() const { return full_ + (cursor_ ? cursor_ - begin_ : 0); }
    /// Bytes that this arena holds, used or not.
    std::size_t capacity() const { return capacity_; }

    /// Forgets everything. Blocks of common size are kept for reuse; an outsize one (a 100 MB
    /// document) is returned.
    void reset();

  private:
    struct Block {
        std::unique_ptr<std::byte[]> memory;
        std::size_t size;
    };

    void next_block(std::size_t at_least);

    std::uintptr_t begin_ = 0;
    std::uintptr_t cursor_ = 0;
    std::uintptr_t end_ = 0;
    std::size_t next_ = 0;  // index in blocks_ of the first block not in use
    std::size_t full_ = 0;
    std::size_t capacity_ = 0;
    std::vector<Block> blocks_;
};

}  // namespace penstock::document
