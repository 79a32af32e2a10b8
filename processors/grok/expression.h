// A grok expression, compiled.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/regex/ruby_pattern.h"
#include "processors/grok/pattern_bank.h"

namespace penstock::processors {

/// What becomes of a captured text: %{NUMBER:size:int}.
enum class GrokCaptureType : std::uint8_t { string, int32, int64, float32, float64, boolean };

/// Groups of one name. A name that stands for several groups captures as often as they took part.
struct GrokCapture {
    std::string field;
    GrokCaptureType type = GrokCaptureType::string;
    std::vector<int> groups;
};

/// One or more patterns, of which the one that matches leftmost is taken, and of those that match
/// at the same place the first: one alternation, as Elasticsearch has it, with %{NAME},
/// %{NAME:field} and %{NAME:field:type} replaced by the named patterns. Immutable and thread-safe.
class GrokExpression {
  public:
    /// `number_alternatives`: make `alternative_groups`. Throws penstock::Error, with
    /// Elasticsearch's texts, for a name that `bank` does not have, and with Oniguruma's for what
    /// is no regular expression.
    static GrokExpression compile(const std::vector<std::string>& patterns,
                                  const GrokPatternBank& bank, bool number_alternatives);

    const text::regex::RubyPattern& pattern() const { return pattern_; }
    /// In the order in which the names first occur.
    const std::vector<GrokCapture>& captures() const { return captures_; }
    /// The group that takes part when the pattern of that number matches.
    const std::vector<int>& alternative_groups() const { return alternative_groups_; }

  private:
    explicit GrokExpression(text::regex::RubyPattern pattern) : pattern_(std::move(pattern)) {}

    text::regex::RubyPattern pattern_;
    std::vector<GrokCapture> captures_;
    std::vector<int> alternative_groups_;
};

/// The expression as a regular expression whose groups have the names that were written:
/// "(?<WORD:a>\b\w+\b)". For `compile` and its tests.
std::string expand_grok(const std::vector<std::string>& patterns, const GrokPatternBank& bank,
                        bool number_alternatives);

}  // namespace penstock::processors
