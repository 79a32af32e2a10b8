#include "tools/serve/cluster_settings.h"

#include "tools/serve/json_tree.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

ClusterSettings::Flat ClusterSettings::persistent() const {
    const auto states = persistent_.read();
    return {states.begin(), states.end()};
}

ClusterSettings::Flat ClusterSettings::transient() const {
    const std::lock_guard lock(mutex_);
    return transient_;
}

void ClusterSettings::put_persistent(const Flat& changes) const {
    const Flat known = persistent();
    for (const auto& [name, value] : changes) {
        if (value != "null") {
            persistent_.put(name, value);
            continue;
        }
        for (const auto& [old, unused] : known) {
            if (matches_wildcard(name, old)) persistent_.remove(old);
        }
    }
}

void ClusterSettings::put_transient(const Flat& changes) {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, value] : changes) {
        if (value != "null") {
            transient_.insert_or_assign(name, value);
        } else {
            std::erase_if(transient_, [&, &pattern = name](const auto& old) {
                return matches_wildcard(pattern, old.first);
            });
        }
    }
}

std::string ClusterSettings::text(const std::string& name, std::string otherwise) const {
    for (const Flat& settings : {transient(), persistent()}) {
        const auto found = settings.find(name);
        if (found != settings.end()) return JsonTree::parse(found->second).content();
    }
    return otherwise;
}

}  // namespace penstock::serve
