// Compiled regular expressions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/document/failure.h"

namespace penstock::text::regex {

/// A regular expression in Java's syntax (see java_syntax.h), compiled to machine code once.
/// Immutable: any number of threads may search with it at the same time.
class Pattern {
  public:
    /// Steps after which a search gives up: a pattern that backtracks without end fails its
    /// document instead of stopping its worker. Some milliseconds to some tens of them.
    static constexpr std::uint32_t step_limit = 1'000'000;

    /// Throws penstock::Error with the mistake and its place in the pattern.
    static Pattern compile(std::string_view java);

    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;
    ~Pattern();

    /// As written.
    const std::string& text() const;
    /// Capturing groups, without group 0.
    std::uint32_t groups() const;
    /// The number of a named group.
    std::optional<std::uint32_t> group(std::string_view name) const;

  private:
    friend class Matcher;
    struct Code;
    explicit Pattern(std::unique_ptr<const Code> code);

    std::unique_ptr<const Code> code_;
};

/// Searches one subject from left to right, as Java's Matcher does: matches do not overlap, and
/// after an empty match the search goes on one character later. Borrows scratch memory of its
/// thread, so that a search allocates nothing: make it, use it and let it go on one thread. Pattern
/// and subject must outlive it. A pattern that is plain text is looked for without PCRE2.
class Matcher {
  public:
    Matcher(const Pattern& pattern, std::string_view subject);
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;
    ~Matcher();

    /// Whether there is a next match. A failure when the search took too many steps, or needs the
    /// subject to be UTF-8 and it is not.
    document::Result<bool> find();

    // Of the last match; find() must have said true.
    std::size_t begin() const { return begin_; }
    std::size_t end() const { return end_; }
    /// What a group matched, 0 being the whole; nothing when it took no part.
    std::optional<std::string_view> group(std::uint32_t number) const;

  private:
    struct Scratch;
    struct Pool;
    static Pool& pool();
    bool find_literal(std::string_view literal);

    const Pattern* pattern_;
    std::string_view subject_;
    std::unique_ptr<Scratch> scratch_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool searched_ = false;
};

}  // namespace penstock::text::regex
