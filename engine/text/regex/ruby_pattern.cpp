#include "engine/text/regex/ruby_pattern.h"

#include <oniguruma.h>

#include <new>

#include "engine/runtime/error.h"

namespace penstock::text::regex {

namespace {

struct Free {
    void operator()(regex_t* code) const { onig_free(code); }
    void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
    void operator()(OnigMatchParam* parameters) const { onig_free_match_param(parameters); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

template <class T>
Owned<T> own(T* made) {
    if (made == nullptr) throw std::bad_alloc();
    return Owned<T>(made);
}

const UChar* bytes(std::string_view text) {
    return reinterpret_cast<const UChar*>(text.data() == nullptr ? "" : text.data());
}

/// Once a process, before the first pattern.
void initialize() {
    static const int done = [] {
        OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
        return onig_initialize(encodings, 1);
    }();
    if (done != ONIG_NORMAL) throw std::bad_alloc();
}

std::string message_of(int error, OnigErrorInfo* info = nullptr) {
    UChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
    const int length = info == nullptr ? onig_error_code_to_str(text, error)
                                       : onig_error_code_to_str(text, error, info);
    return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(length)};
}

}  // namespace

struct RubyPattern::Code {
    Owned<regex_t> code;
};

RubyPattern::RubyPattern(std::unique_ptr<const Code> code) : code_(std::move(code)) {}
RubyPattern::RubyPattern(RubyPattern&&) noexcept = default;
RubyPattern& RubyPattern::operator=(RubyPattern&&) noexcept = default;
RubyPattern::~RubyPattern() = default;

RubyPattern RubyPattern::compile(const std::string& ruby) {
    initialize();
    regex_t* code = nullptr;
    OnigErrorInfo info{};
    const UChar* begin = bytes(ruby);
    const int error = onig_new(&code, begin, begin + ruby.size(), ONIG_OPTION_NONE,
                               ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
    if (error != ONIG_NORMAL) throw Error(message_of(error, &info));
    return RubyPattern(std::make_unique<const Code>(Code{Owned<regex_t>(code)}));
}

std::vector<int> RubyPattern::groups(std::string_view name) const {
    int* numbers = nullptr;
    const int count = onig_name_to_group_numbers(code_->code.get(), bytes(name),
                                                 bytes(name) + name.size(), &numbers);
    if (count <= 0) return {};
    return {numbers, numbers + count};
}

/// What one search needs besides the pattern; serves any pattern.
struct RubyMatcher::Scratch {
    Scratch() : region(own(onig_region_new())), parameters(own(onig_new_match_param())) {
        onig_initialize_match_param(parameters.get());
        onig_set_retry_limit_in_match_of_match_param(parameters.get(), RubyPattern::retry_limit);
        onig_set_retry_limit_in_search_of_match_param(parameters.get(), RubyPattern::retry_limit);
        onig_set_match_stack_limit_size_of_match_param(parameters.get(), RubyPattern::stack_limit);
    }

    Owned<OnigRegion> region;
    Owned<OnigMatchParam> parameters;
};

std::unique_ptr<RubyMatcher::Scratch>& RubyMatcher::spare() {
    // Per thread, so that searching takes no lock; it holds memory and no state. One is enough:
    // matchers do not nest, and if they do, the inner one makes its own.
    thread_local std::unique_ptr<Scratch> scratch;
    return scratch;
}

RubyMatcher::RubyMatcher(const RubyPattern& pattern, std::string_view subject)
    : pattern_(&pattern), subject_(subject), scratch_(std::move(spare())) {
    if (!scratch_) scratch_ = std::make_unique<Scratch>();
}

RubyMatcher::~RubyMatcher() {
    spare() = std::move(scratch_);
}

document::Result<bool> RubyMatcher::find() {
    const UChar* begin = bytes(subject_);
    const UChar* end = begin + subject_.size();
    const int found = onig_search_with_param(
        pattern_->code_->code.get(), begin, end, begin, end, scratch_->region.get(),
        ONIG_OPTION_CHECK_VALIDITY_OF_STRING, scratch_->parameters.get());
    if (found >= 0) return true;
    if (found == ONIG_MISMATCH) return false;
    return document::failure(message_of(found), document::FailureType::timeout);
}

std::optional<std::string_view> RubyMatcher::group(int number) const {
    const OnigRegion& region = *scratch_->region;
    if (number >= region.num_regs || region.beg[number] < 0) return std::nullopt;
    const auto begin = static_cast<std::size_t>(region.beg[number]);
    return subject_.substr(begin, static_cast<std::size_t>(region.end[number]) - begin);
}

}  // namespace penstock::text::regex
