// Text for terminals.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::tools {

/// Columns of standard output when it is a terminal (40 to 120), else 100.
std::size_t output_width();
/// Blanks and line ends joined, cut at a word's end with "..." to about `bytes`; whole code points.
std::string shorten(std::string_view text, std::size_t bytes);
/// Words in lines of at most `width` columns, each line after `indent`.
std::string wrap(std::string_view text, std::size_t width, std::string_view indent);
/// Columns of equal width, two blanks between; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows);
/// 1536 as "1.5kb", as Elasticsearch writes sizes.
std::string byte_size(std::uint64_t bytes);

}  // namespace penstock::tools
