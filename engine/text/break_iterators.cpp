#include "engine/text/break_iterators.h"

#include <unicode/locid.h>

#include <new>
#include <string>

#include "engine/runtime/error.h"

namespace penstock::text {
namespace {

icu::BreakIterator* make_iterator(BreakIteratorPool::Kind kind, UErrorCode& status) {
    const icu::Locale& locale = icu::Locale::getRoot();
    switch (kind) {
        case BreakIteratorPool::Kind::grapheme:
            return icu::BreakIterator::createCharacterInstance(locale, status);
        case BreakIteratorPool::Kind::word:
            return icu::BreakIterator::createWordInstance(locale, status);
        case BreakIteratorPool::Kind::sentence:
            return icu::BreakIterator::createSentenceInstance(locale, status);
    }
    status = U_ILLEGAL_ARGUMENT_ERROR;
    return nullptr;
}

}  // namespace

BreakIteratorPool::BreakIteratorPool(Kind kind) {
    UErrorCode status = U_ZERO_ERROR;
    prototype_.reset(make_iterator(kind, status));
    if (U_FAILURE(status) || prototype_ == nullptr) {
        throw Error(std::string("cannot load ICU's text boundary rules (") + u_errorName(status) +
                    "); is the ICU data library installed?");
    }
}

std::unique_ptr<icu::BreakIterator> BreakIteratorPool::take() const {
    {
        const std::scoped_lock lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<icu::BreakIterator> iterator = std::move(idle_.back());
            idle_.pop_back();
            return iterator;
        }
    }
    return std::unique_ptr<icu::BreakIterator>(prototype_->clone());
}

BreakIteratorPool::Lease::Lease(const BreakIteratorPool& pool, std::string_view text)
    : pool_(pool), iterator_(pool.take()) {
    if (iterator_ == nullptr) throw std::bad_alloc();
    UErrorCode status = U_ZERO_ERROR;
    utext_openUTF8(&text_, text.data() == nullptr ? "" : text.data(),
                   static_cast<std::int64_t>(text.size()), &status);
    iterator_->setText(&text_, status);
    if (U_FAILURE(status))
        throw std::bad_alloc();  // a shallow clone fails for want of memory alone
}

BreakIteratorPool::Lease::~Lease() {
    UErrorCode status = U_ZERO_ERROR;
    UText empty = UTEXT_INITIALIZER;
    utext_openUTF8(&empty, "", 0, &status);
    iterator_->setText(&empty, status);  // keeps no pointer into a text that is going away
    utext_close(&empty);
    utext_close(&text_);
    const std::scoped_lock lock(pool_.mutex_);
    pool_.idle_.push_back(std::move(iterator_));
}

}  // namespace penstock::text
