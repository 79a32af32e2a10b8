#include "processors/grok_patterns.h"

#include <algorithm>
#include <span>

namespace penstock::processors {

// Made of the files in processors/grok-patterns when the program is configured.
extern const std::span<const std::string_view> kGrokFilesDisabled;
extern const std::span<const std::string_view> kGrokFilesV1;

namespace {

using Patterns = std::map<std::string_view, std::string_view>;

/// "NAME pattern" on each line; empty lines and comments between. A later one replaces an earlier.
void read(std::string_view text, Patterns& patterns) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t blank = line.find_first_of(" \t");
        if (line.empty() || line.front() == '#' || blank == std::string_view::npos) continue;
        std::string_view pattern = line.substr(line.find_first_not_of(" \t", blank));
        pattern = pattern.substr(0, pattern.find_last_not_of(" \t\r") + 1);
        patterns.insert_or_assign(line.substr(0, blank), pattern);
    }
}

Patterns read(std::span<const std::string_view> files) {
    Patterns patterns;
    for (const std::string_view file : files)
        read(file, patterns);
    return patterns;
}

}  // namespace

const Patterns& grok_patterns(GrokSet set) {
    static const Patterns disabled = read(kGrokFilesDisabled);
    static const Patterns v1 = read(kGrokFilesV1);
    return set == GrokSet::v1 ? v1 : disabled;
}

}  // namespace penstock::processors
