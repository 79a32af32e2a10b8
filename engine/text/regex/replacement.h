// The right side of a replacement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/regex/pattern.h"

namespace penstock::text::regex {

/// Replacement text in Java's syntax: $1, ${name}, and a backslash before what is meant literally.
/// `$12` is group 12 when there is one, else group 1 and a 2. Prepared once for its pattern;
/// immutable and thread-safe.
class Replacement {
  public:
    /// Throws penstock::Error with Java's texts ("No group 2", "Illegal group reference").
    static Replacement compile(std::string_view java, const Pattern& pattern);

    /// Appends the text for the matcher's last match; a group that took no part is empty.
    void expand(const Matcher& match, std::string& out) const;

  private:
    struct Piece {
        std::string literal;
        std::uint32_t group;  ///< used when the literal is empty
    };
    std::vector<Piece> pieces_;
};

/// Appends `subject` with every match replaced to `out`. False when there was none, and then
/// nothing is appended.
document::Result<bool> replace_all(const Pattern& pattern, const Replacement& replacement,
                                   std::string_view subject, std::string& out);

/// The pieces between matches, as Java's String.split: no empty piece before an empty match at the
/// start; trailing empty pieces only when kept; the subject itself when nothing matches. Pieces
/// point into `subject`.
document::Result<std::vector<std::string_view>> split(const Pattern& pattern,
                                                      std::string_view subject, bool keep_trailing);

}  // namespace penstock::text::regex
