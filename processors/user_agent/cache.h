// What was said of the user agents that came last.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace penstock::processors {

struct UserAgent;
using UserAgentPtr = std::shared_ptr<const UserAgent>;

/// The least recently used leaves when it is full. Thread-safe: a text belongs to one of several
/// parts, each with a lock of its own, so that threads seldom meet.
class UserAgentCache {
  public:
    /// Texts that are longer are not kept.
    static constexpr std::size_t longest_text = 4096;

    /// 0 turns it off.
    explicit UserAgentCache(std::size_t entries);

    /// Null when absent.
    UserAgentPtr find(std::string_view text);
    void insert(std::string_view text, UserAgentPtr agent);

  private:
    struct Entry {
        std::string text;
        UserAgentPtr agent;
    };
    struct Part {
        std::mutex mutex;
        std::list<Entry> by_use;  // the most recently used first
        std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text;
    };

    Part& part_of(std::string_view text);

    static constexpr std::size_t most_parts = 16;
    std::size_t parts_;     // in use
    std::size_t per_part_;  // entries
    std::array<Part, most_parts> all_;
};

}  // namespace penstock::processors
