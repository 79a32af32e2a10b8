// What a step prepares for the values that its options' templates take.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>

namespace penstock::processors {

/// Keeps what was made for each value, so that a template that gives the same few values again and
/// again (time zones, languages) costs a look-up. Forgets all when it is full. Thread-safe.
template <class T>
class ValueCache {
  public:
    static constexpr std::size_t capacity = 256;

    /// What `make()` gave for `key`, a shared_ptr<const T>, now or earlier.
    template <class Make>
    std::shared_ptr<const T> get(std::string_view key, const Make& make) const {
        {
            const std::shared_lock lock(mutex_);
            const auto found = made_.find(key);
            if (found != made_.end()) return found->second;
        }
        std::shared_ptr<const T> made = make();
        const std::unique_lock lock(mutex_);
        if (made_.size() >= capacity) made_.clear();
        made_.insert_or_assign(std::string(key), made);
        return made;
    }

  private:
    mutable std::shared_mutex mutex_;
    mutable std::map<std::string, std::shared_ptr<const T>, std::less<>> made_;
};

}  // namespace penstock::processors
