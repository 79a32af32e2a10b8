// Java's regular expressions in PCRE2's words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::text::regex {

/// The pattern rewritten so that PCRE2 (UTF, without UCP) finds what java.util.regex.Pattern
/// without flags would: class unions, intersections and complements, POSIX and `java...`
/// properties, \Q...\E, octal and \u escapes, inline flags. Sources: the documentation of
/// java.util.regex.Pattern (JDK 19 and later, where \b knows ASCII alone) and pcre2pattern(3).
///
/// Throws penstock::Error, with Java's texts where it has one ("Unclosed character class near index
/// 3"), for what is not a Java pattern and for what PCRE2 cannot do: Unicode blocks, \b{g},
/// \N{...}, and the flags d and U anywhere but at the start. Known differences that are left: (?i)
/// folds case for all letters as if (?u) were given, and of Java's line ends `.`, `^` and `$` know
/// \n, \r and \r\n, not U+0085, U+2028 and U+2029.
std::string from_java(std::string_view pattern);

/// The text that the pattern stands for when it is plain text, escapes like `\|` and `\t` included:
/// finding it needs no regular expression. Nothing when the pattern is empty.
std::optional<std::string> literal_of(std::string_view pattern);

}  // namespace penstock::text::regex
