#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/text/regex/pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <new>
#include <vector>

#include "engine/runtime/error.h"
#include "engine/text/regex/java_syntax.h"

namespace penstock::text::regex {

namespace {

constexpr std::size_t first_jit_stack = 32 * 1024;
constexpr std::size_t largest_jit_stack = 1024 * 1024;
constexpr std::uint32_t heap_limit_kib = 64 * 1024;

struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

template <class T>
Owned<T> own(T* made) {
    if (made == nullptr) throw std::bad_alloc();
    return Owned<T>(made);
}

std::string message_of(int error) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR bytes(std::string_view text) {
    // PCRE2 before 10.43 refuses a null pointer even when the length is 0.
    return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

Owned<pcre2_code> compile_code(const std::string& perl) {
    auto context = own(pcre2_compile_context_create(nullptr));
    // Not PCRE2_NEWLINE_ANY, which is a little nearer to Java: with it the compiled code of PCRE2
    // 10.42 loses its place at a `$` that does not match, as in `(?!$)`.
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_ANYCRLF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code =
        pcre2_compile(bytes(perl), perl.size(), PCRE2_UTF, &error, &offset, context.get());
    if (code == nullptr) throw Error(message_of(error) + " near index " + std::to_string(offset));
    // Where the system forbids making code at run time, the same pattern is interpreted.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return Owned<pcre2_code>(code);
}

}  // namespace

struct Pattern::Code {
    std::string text;
    Owned<pcre2_code> code;
    std::uint32_t groups = 0;
    std::optional<std::string> literal;  // the pattern is this text
};

Pattern::Pattern(std::unique_ptr<const Code> code) : code_(std::move(code)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Pattern Pattern::compile(std::string_view java) {
    auto code = std::make_unique<Code>();
    code->text = java;
    code->code = compile_code(from_java(java));
    code->literal = literal_of(java);
    pcre2_pattern_info(code->code.get(), PCRE2_INFO_CAPTURECOUNT, &code->groups);
    return Pattern(std::move(code));
}

const std::string& Pattern::text() const {
    return code_->text;
}
std::uint32_t Pattern::groups() const {
    return code_->groups;
}

std::optional<std::uint32_t> Pattern::group(std::string_view name) const {
    int number = pcre2_substring_number_from_name(code_->code.get(), bytes(std::string(name)));
    if (number <= 0) return std::nullopt;
    return static_cast<std::uint32_t>(number);
}

/// What one search needs besides the pattern. Serves any pattern that has no more groups than it
/// has room for.
struct Matcher::Scratch {
    explicit Scratch(std::uint32_t pairs_wanted)
        : pairs(pairs_wanted),
          data(own(pcre2_match_data_create(pairs_wanted, nullptr))),
          context(own(pcre2_match_context_create(nullptr))),
          stack(own(pcre2_jit_stack_create(first_jit_stack, largest_jit_stack, nullptr))) {
        pcre2_set_match_limit(context.get(), Pattern::step_limit);
        pcre2_set_heap_limit(context.get(), heap_limit_kib);
        pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }

    std::uint32_t pairs;
    Owned<pcre2_match_data> data;
    Owned<pcre2_match_context> context;
    Owned<pcre2_jit_stack> stack;
};

/// The scratch memory that this thread's matchers have given back. More than one only when matchers
/// nest.
struct Matcher::Pool {
    static constexpr std::uint32_t least_pairs = 16;
    static constexpr std::size_t most_kept = 4;

    std::unique_ptr<Scratch> take(std::uint32_t pairs) {
        if (!free.empty() && free.back()->pairs >= pairs) {
            std::unique_ptr<Scratch> scratch = std::move(free.back());
            free.pop_back();
            return scratch;
        }
        return std::make_unique<Scratch>(std::max(pairs, least_pairs));
    }
    void give_back(std::unique_ptr<Scratch> scratch) {
        if (free.size() == most_kept) free.erase(free.begin());
        free.push_back(std::move(scratch));
    }

    std::vector<std::unique_ptr<Scratch>> free;
};

Matcher::Pool& Matcher::pool() {
    // Per thread, so that searching takes no lock; it holds memory and no state.
    thread_local Pool pool;
    return pool;
}

Matcher::Matcher(const Pattern& pattern, std::string_view subject)
    : pattern_(&pattern), subject_(subject) {
    if (!pattern.code_->literal) scratch_ = pool().take(pattern.groups() + 1);
}

Matcher::~Matcher() {
    if (scratch_) pool().give_back(std::move(scratch_));
}

bool Matcher::find_literal(std::string_view literal) {
    std::size_t at = subject_.find(literal, end_);
    if (at == std::string_view::npos) return false;
    begin_ = at;
    end_ = at + literal.size();
    return true;
}

document::Result<bool> Matcher::find() {
    if (const auto& literal = pattern_->code_->literal) return find_literal(*literal);
    std::size_t from = end_;
    if (searched_ && begin_ == end_) {
        if (from >= subject_.size()) return false;
        // One character, not one byte.
        do
            ++from;
        while (from < subject_.size() && (subject_[from] & 0xC0) == 0x80);
    }
    // The first search has looked at all of the text; checking it again each time would be
    // quadratic.
    std::uint32_t options = searched_ ? PCRE2_NO_UTF_CHECK : 0;
    const pcre2_code* code = pattern_->code_->code.get();
    auto match = [&](std::uint32_t more) {
        return pcre2_match(code, bytes(subject_), subject_.size(), from, options | more,
                           scratch_->data.get(), scratch_->context.get());
    };
    int found = match(0);
    // Deep recursion that does not fit the machine stack may fit the interpreter's heap.
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) {
        return document::failure("regular expression [" + pattern_->text() +
                                 "] gave up on a text of " + std::to_string(subject_.size()) +
                                 " bytes: " + message_of(found));
    }
    searched_ = true;
    const PCRE2_SIZE* spans = pcre2_get_ovector_pointer(scratch_->data.get());
    begin_ = spans[0];
    end_ = spans[1];
    return true;
}

std::optional<std::string_view> Matcher::group(std::uint32_t number) const {
    if (number == 0) return subject_.substr(begin_, end_ - begin_);
    if (!scratch_) return std::nullopt;
    const PCRE2_SIZE* spans = pcre2_get_ovector_pointer(scratch_->data.get());
    if (number > pattern_->groups() || spans[2 * number] == PCRE2_UNSET) return std::nullopt;
    return subject_.substr(spans[2 * number], spans[2 * number + 1] - spans[2 * number]);
}

}  // namespace penstock::text::regex
