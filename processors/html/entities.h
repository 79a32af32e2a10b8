// Named character references of HTML 4.
#pragma once

#include <optional>
#include <string_view>

namespace penstock::processors::html {

/// The character that `&name;` stands for. The names are those of HTML 4.01 (W3C, section 24) and
/// `apos`, and the upper case forms QUOT, AMP, LT, GT, COPY and REG; as in Lucene's
/// HTMLStripCharFilter, `nbsp` is a plain blank.
std::optional<char32_t> entity(std::string_view name);

}  // namespace penstock::processors::html
