#include "processors/grok/pattern_bank.h"

#include <algorithm>
#include <set>

#include "engine/runtime/error.h"

namespace penstock::processors {

namespace {

/// One pattern on the way that `check` is going, and which of its references come next.
struct Visit {
    std::string name;
    std::vector<std::string_view> references;
    std::size_t next = 0;
};

[[noreturn]] void refuse_circle(const std::vector<Visit>& way, std::string_view back_to) {
    std::string path;
    bool on_circle = false;
    for (const Visit& visit : way) {
        on_circle = on_circle || visit.name == back_to;
        if (on_circle) path += visit.name + "->";
    }
    throw Error("circular reference detected: " + path + std::string(back_to));
}

}  // namespace

void GrokPatternBank::define(std::string name, std::string pattern) {
    auto [at, added] = own_.insert_or_assign(std::move(name), std::move(pattern));
    own_views_.insert_or_assign(at->first, at->second);
    if (added) order_.push_back(at->first);
}

const std::string_view* GrokPatternBank::find(std::string_view name) const {
    for (const auto* patterns : {&own_views_, shipped_}) {
        if (auto found = patterns->find(name); found != patterns->end()) return &found->second;
    }
    return nullptr;
}

/// What stands between %{ and the first } or : behind it, each once.
std::vector<std::string_view> GrokPatternBank::references(const std::string& name) const {
    const std::string_view pattern = *find(name);
    std::vector<std::string_view> names;
    for (auto at = pattern.find("%{"); at != pattern.npos; at = pattern.find("%{", at + 1)) {
        const std::size_t begin = at + 2;
        const std::size_t end = pattern.find_first_of("}:", begin);
        if (end == pattern.npos)
            throw Error("pattern [" + std::string(pattern) + "] has an invalid syntax");
        const std::string_view other = pattern.substr(begin, end - begin);
        if (find(other) == nullptr) {
            throw Error("pattern [" + name + "] is referencing a non-existent pattern [" +
                        std::string(other) + "]");
        }
        if (std::find(names.begin(), names.end(), other) == names.end()) names.push_back(other);
    }
    return names;
}

void GrokPatternBank::check() const {
    // The shipped patterns have no circle: one must pass through a pattern that was added.
    std::set<std::string, std::less<>> done;
    std::set<std::string, std::less<>> on_way;
    std::vector<Visit> way;
    const auto enter = [&](std::string name) {
        on_way.insert(name);
        way.push_back({name, references(name)});
    };
    for (const std::string& start : order_) {
        if (done.contains(start)) continue;
        enter(start);
        while (!way.empty()) {
            Visit& visit = way.back();
            if (visit.next == visit.references.size()) {
                on_way.erase(visit.name);
                done.insert(visit.name);
                way.pop_back();
                continue;
            }
            const std::string_view other = visit.references[visit.next++];
            if (on_way.contains(other)) refuse_circle(way, other);
            if (!done.contains(other)) enter(std::string(other));
        }
    }
}

}  // namespace penstock::processors
