// Compiled regular expressions in Ruby's syntax.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/failure.h"

namespace penstock::text::regex {

/// A regular expression as Oniguruma and joni read Ruby's: `^` and `$` at every line, groups
/// without a name do not capture where another has one, one name may stand for several groups.
/// Classes such as `\w` know all of Unicode. Immutable: any number of threads may search with it at
/// the same time. Source: the documentation of Oniguruma 6.9 (doc/RE, doc/API).
class RubyPattern {
  public:
    /// Steps back after which a search gives up, of all its starting points together: some tenths
    /// of a second.
    static constexpr unsigned long retry_limit = 10'000'000;
    /// States that a search may keep to go back to, of 32 bytes each.
    static constexpr unsigned int stack_limit = 4'000'000;

    /// Throws penstock::Error with Oniguruma's words for what is wrong.
    static RubyPattern compile(const std::string& ruby);

    RubyPattern(RubyPattern&&) noexcept;
    RubyPattern& operator=(RubyPattern&&) noexcept;
    ~RubyPattern();

    /// The numbers of the groups of that name, ascending; none when there is no such name.
    std::vector<int> groups(std::string_view name) const;

  private:
    friend class RubyMatcher;
    struct Code;
    explicit RubyPattern(std::unique_ptr<const Code> code);

    std::unique_ptr<const Code> code_;
};

/// Searches one subject. Borrows scratch memory of its thread: make it, use it and let it go on one
/// thread. Pattern and subject must outlive it.
class RubyMatcher {
  public:
    RubyMatcher(const RubyPattern& pattern, std::string_view subject);
    RubyMatcher(const RubyMatcher&) = delete;
    RubyMatcher& operator=(const RubyMatcher&) = delete;
    ~RubyMatcher();

    /// Whether there is a match; the leftmost is taken. A failure when the search took too many
    /// steps or too much memory, or the subject is not UTF-8.
    document::Result<bool> find();

    /// What a group matched, 0 being the whole; nothing when it took no part. find() must have said
    /// true.
    std::optional<std::string_view> group(int number) const;

  private:
    struct Scratch;
    static std::unique_ptr<Scratch>& spare();

    const RubyPattern* pattern_;
    std::string_view subject_;
    std::unique_ptr<Scratch> scratch_;
};

}  // namespace penstock::text::regex
