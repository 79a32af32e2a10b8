// Which of many regular expressions are worth trying on a text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::processors {

/// Texts of which at least one is in every text that the regular expression (in Java's syntax)
/// matches, upper case or lower; in lower case. Empty when nothing is known. The longest and rarest
/// that are easy to find, not all that there are.
std::vector<std::string> required_literals(std::string_view java);

/// Finds, in one pass over a text, the expressions whose literals it has. Immutable and
/// thread-safe.
class LiteralFilter {
  public:
    /// What required_literals said of every expression.
    explicit LiteralFilter(const std::vector<std::vector<std::string>>& literals);

    /// Numbers of expressions as bits.
    using Set = std::vector<std::uint64_t>;
    static bool has(const Set& set, std::size_t number) {
        return (set[number / 64] >> (number % 64) & 1) != 0;
    }

    /// Those that may match.
    Set candidates(std::string_view text) const;

  private:
    /// Literals are looked up by their first three bytes.
    static constexpr std::size_t buckets = 4096;
    struct Literal {
        std::string text;
        std::vector<std::uint32_t> expressions;
    };

    static std::size_t bucket_of(const char* text);
    static void add(Set& set, std::size_t number) {
        set[number / 64] |= std::uint64_t{1} << (number % 64);
    }

    Set always_;
    std::vector<Literal> literals_;                    // by bucket
    std::array<std::uint32_t, buckets + 1> begins_{};  // of a bucket in literals_
};

}  // namespace penstock::processors
