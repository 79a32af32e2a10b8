#include "engine/document/arena.h"

#include <algorithm>

namespace penstock::document {

void Arena::next_block(std::size_t at_least) {
    if (cursor_ != 0) full_ += cursor_ - begin_;
    // A kept block that is too small for this request waits for the next reset: order does not
    // matter.
    auto fit = std::find_if(blocks_.begin() + static_cast<std::ptrdiff_t>(next_), blocks_.end(),
                            [&](const Block& block) { return block.size >= at_least; });
    if (fit == blocks_.end()) {
        std::size_t size =
            blocks_.empty() ? first_block : std::min(largest_block, blocks_.back().size * 2);
        size = std::max(size, at_least);
        blocks_.push_back({std::unique_ptr<std::byte[]>(new std::byte[size]), size});
        capacity_ += size;
        fit = blocks_.end() - 1;
    }
    std::iter_swap(fit, blocks_.begin() + static_cast<std::ptrdiff_t>(next_));
    Block& block = blocks_[next_++];
    begin_ = cursor_ = reinterpret_cast<std::uintptr_t>(block.memory.get());
    end_ = begin_ + block.size;
}

void Arena::reset() {
    std::erase_if(blocks_, [&](const Block& block) {
        if (block.size <= largest_block) return false;
        capacity_ -= block.size;
        return true;
    });
    begin_ = cursor_ = end_ = 0;
    next_ = 0;
    full_ = 0;
}

}  // namespace penstock::document
