// Unicode text boundaries (UAX #29) over UTF-8.
#pragma once

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace penstock::text {

/// ICU's break iterators are dear to make and not thread-safe: a pool keeps one for each thread
/// that ever used it at the same moment. Safe to use from any thread.
class BreakIteratorPool {
  public:
    enum class Kind { grapheme, word, sentence };

    explicit BreakIteratorPool(Kind kind);
    BreakIteratorPool(const BreakIteratorPool&) = delete;
    BreakIteratorPool& operator=(const BreakIteratorPool&) = delete;

    /// A borrowed iterator, set to a text; positions are byte offsets. The text and the pool must
    /// outlive it.
    class Lease {
      public:
        Lease(const BreakIteratorPool& pool, std::string_view text);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        icu::BreakIterator* operator->() { return iterator_.get(); }

      private:
        const BreakIteratorPool& pool_;
        std::unique_ptr<icu::BreakIterator> iterator_;
        UText text_ = UTEXT_INITIALIZER;
    };

    /// The longest text that an iterator takes, in bytes: ICU counts in 32 bits.
    static constexpr std::size_t kMaxBytes = 0x7FFFFFF0;

  private:
    std::unique_ptr<icu::BreakIterator> take() const;

    std::unique_ptr<const icu::BreakIterator> prototype_;
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<icu::BreakIterator>> idle_;
};

}  // namespace penstock::text
