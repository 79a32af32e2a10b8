// Scrolls and points in time: searches that go on over one state.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index_snapshot.h"
#include "engine/runtime/runtime.h"
#include "tools/serve/index_registry.h"
#include "tools/serve/memory_budget.h"
#include "tools/serve/node.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// What a scroll still has to give: documents found when it was opened, at some 24 bytes each.
struct ScrollEntry {
    std::size_t part = 0;
    std::int64_t seq_no = 0;
    double score = 0;
};

/// Holds its snapshots, and the files' log with them, until it is closed or expires.
struct SearchContext {
    /// `the_expression`: the names by which the parts were asked for.
    SearchContext(std::shared_ptr<IndexRegistry> registry, std::vector<io::SearchPart> the_parts,
                  std::string_view the_expression);
    ~SearchContext();
    SearchContext(const SearchContext&) = delete;
    SearchContext& operator=(const SearchContext&) = delete;

    std::vector<io::SearchPart> parts;
    std::string expression;
    bool is_scroll = false;
    std::int64_t created_millis = 0;

    std::mutex mutex;  ///< of what follows: one page at a time
    SearchRequest request;
    std::optional<MemoryLease> memory;  ///< of the entries
    std::vector<ScrollEntry> entries;
    std::vector<std::vector<io::SortValue>> sort_values;  ///< of the entries, when it sorts
    std::vector<io::Neighbours> neighbours;               ///< of what has a name
    std::size_t next = 0;
    std::uint64_t total = 0;
    std::optional<double> max_score;

  private:
    std::shared_ptr<IndexRegistry> registry_;
};

/// Thread-safe. At most 500 at a time, with 1000 indices among them, each of which is an open file;
/// those that nobody asked for in their time are closed.
class SearchContexts : public std::enable_shared_from_this<SearchContexts> {
  public:
    SearchContexts(runtime::Runtime& runtime, std::shared_ptr<const SearchSettings> settings)
        : runtime_(runtime), settings_(std::move(settings)) {}

    /// Throws ApiError 429 when there are too many for one more, of so many indices.
    void check_room(bool scroll, std::size_t indices);
    /// Its id. Throws ApiError 400 for a time to live that is too long.
    std::string add(std::shared_ptr<SearchContext> context, std::chrono::milliseconds keep_alive);
    /// Throws ApiError 404. `keep_alive`, when given, counts from now on.
    std::shared_ptr<SearchContext> find(const std::string& id,
                                        std::optional<std::chrono::milliseconds> keep_alive);
    /// Null when there is none; it does not live longer for it.
    std::shared_ptr<const SearchContext> peek(const std::string& id);
    bool remove(const std::string& id);
    /// All scrolls, or all points in time; their number.
    std::size_t remove_all(bool scrolls);

  private:
    using Clock = std::chrono::steady_clock;
    struct Entry {
        std::shared_ptr<SearchContext> context;
        Clock::time_point expires;
        std::chrono::milliseconds keep_alive{};
    };
    void check_keep_alive(std::chrono::milliseconds keep_alive) const;
    void purge();
    void watch();

    runtime::Runtime& runtime_;
    std::shared_ptr<const SearchSettings> settings_;
    std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;
    bool watching_ = false;
};

}  // namespace penstock::serve
