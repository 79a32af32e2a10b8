#include "tools/serve/index_activity.h"

namespace penstock::serve {

IndexCounts& IndexCounts::operator+=(const IndexCounts& more) {
    indexed += more.indexed;
    index_failed += more.index_failed;
    deleted += more.deleted;
    writing += more.writing;
    found += more.found;
    finding += more.finding;
    missing += more.missing;
    missing_time += more.missing_time;
    searches += more.searches;
    searching += more.searching;
    return *this;
}

void IndexActivity::add(const std::string& index, const IndexCounts& more) {
    const std::lock_guard lock(mutex_);
    counts_[index] += more;
}

IndexCounts IndexActivity::of(const std::string& index) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(index);
    return found == counts_.end() ? IndexCounts() : found->second;
}

void IndexActivity::forget(const std::string& index) {
    const std::lock_guard lock(mutex_);
    counts_.erase(index);
}

}  // namespace penstock::serve
