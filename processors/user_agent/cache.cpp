#include "processors/user_agent/cache.h"

#include <algorithm>
#include <functional>

#include "processors/user_agent/parser.h"

namespace penstock::processors {

UserAgentCache::UserAgentCache(std::size_t entries)
    : parts_(std::clamp<std::size_t>(entries, 1, most_parts)), per_part_(entries / parts_) {}

UserAgentCache::Part& UserAgentCache::part_of(std::string_view text) {
    return all_[std::hash<std::string_view>()(text) % parts_];
}

UserAgentPtr UserAgentCache::find(std::string_view text) {
    if (per_part_ == 0 || text.size() > longest_text) return nullptr;
    Part& part = part_of(text);
    const std::lock_guard lock(part.mutex);
    const auto found = part.by_text.find(text);
    if (found == part.by_text.end()) return nullptr;
    part.by_use.splice(part.by_use.begin(), part.by_use, found->second);
    return found->second->agent;
}

void UserAgentCache::insert(std::string_view text, UserAgentPtr agent) {
    if (per_part_ == 0 || text.size() > longest_text) return;
    Part& part = part_of(text);
    const std::lock_guard lock(part.mutex);
    if (part.by_text.contains(text)) return;  // another thread was faster
    if (part.by_use.size() == per_part_) {
        part.by_text.erase(part.by_use.back().text);
        part.by_use.pop_back();
    }
    part.by_use.push_front({std::string(text), std::move(agent)});
    part.by_text.emplace(part.by_use.front().text, part.by_use.begin());
}

}  // namespace penstock::processors
