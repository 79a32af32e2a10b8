// Differences between texts, for people.
#pragma once

#include <string>
#include <string_view>

namespace penstock::tools {

/// Removed lines with "- ", added ones with "+ ", unchanged neighbours (two on each side) with " ";
/// red and green on a terminal. Empty when the texts are equal.
std::string diff_lines(std::string_view before, std::string_view after, bool colour);

}  // namespace penstock::tools
