#include "tools/serve/search_context.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "tools/serve/api_error.h"
#include "tools/serve/random_id.h"
#include "tools/serve/units.h"

namespace penstock::serve {

namespace {

constexpr std::size_t kMaxContexts = 500;
constexpr std::size_t kIdBytes = 33;
constexpr std::size_t kMaxIndices = 1000;
constexpr std::chrono::seconds kWatchInterval{5};

ApiError missing(const std::string& id) {
    return {404, "search_context_missing_exception", "No search context found for id [" + id + "]"};
}

}  // namespace

void SearchContexts::check_keep_alive(std::chrono::milliseconds keep_alive) const {
    const std::chrono::milliseconds longest = settings_->max_keep_alive;
    const auto text = [](std::chrono::milliseconds time) {
        return "(" + time_text(static_cast<double>(time.count())) + ")";
    };
    if (keep_alive > longest)
        throw illegal_argument("Keep alive for request " + text(keep_alive) +
                               " is too large. It must be less than " + text(longest) +
                               ". This limit can be set by changing the [search.max_keep_alive] "
                               "cluster level setting.");
    if (keep_alive.count() <= 0) throw illegal_argument("[keep_alive] must be positive");
}

SearchContext::SearchContext(std::shared_ptr<IndexRegistry> registry,
                             std::vector<io::SearchPart> the_parts, std::string_view the_expression)
    : parts(std::move(the_parts)), expression(the_expression), registry_(std::move(registry)) {
    for (const io::SearchPart& part : parts)
        registry_->count_context(part.snapshot->index(), 1);
}

SearchContext::~SearchContext() {
    for (const io::SearchPart& part : parts)
        registry_->count_context(part.snapshot->index(), -1);
}

void SearchContexts::check_room(bool scroll, std::size_t indices) {
    purge();
    const std::lock_guard lock(mutex_);
    std::size_t open = indices;
    for (const auto& [id, entry] : entries_)
        open += entry.context->parts.size();
    if (open > kMaxIndices)
        throw ApiError(429, "too_many_scroll_contexts_exception",
                       "Trying to keep too many indices open for scrolls and points in time. Must "
                       "be less than or equal to: [" +
                           std::to_string(kMaxIndices) + "], would be [" + std::to_string(open) +
                           "]. Close contexts, or name fewer indices.")
            .retry_after(1);
    if (entries_.size() < kMaxContexts) return;
    throw ApiError(429, "too_many_scroll_contexts_exception",
                   std::string("Trying to create too many ") +
                       (scroll ? "scroll" : "point in time") +
                       " contexts. Must be less than or equal to: [500]. This limit can be set by "
                       "changing the [search.max_open_scroll_context] setting.")
        .retry_after(1);
}

std::string SearchContexts::add(std::shared_ptr<SearchContext> context,
                                std::chrono::milliseconds keep_alive) {
    check_keep_alive(keep_alive);
    check_room(context->is_scroll, context->parts.size());
    std::string id = random_id(kIdBytes);
    const std::lock_guard lock(mutex_);
    entries_[id] = {std::move(context), Clock::now() + keep_alive, keep_alive};
    if (!std::exchange(watching_, true)) watch();
    return id;
}

std::shared_ptr<SearchContext> SearchContexts::find(
    const std::string& id, std::optional<std::chrono::milliseconds> keep_alive) {
    if (keep_alive) check_keep_alive(*keep_alive);
    purge();
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) throw missing(id);
    if (keep_alive) found->second.keep_alive = *keep_alive;
    found->second.expires = Clock::now() + found->second.keep_alive;
    return found->second.context;
}

std::shared_ptr<const SearchContext> SearchContexts::peek(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : found->second.context;
}

bool SearchContexts::remove(const std::string& id) {
    Entry removed;  // closed without the lock
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return false;
    removed = std::move(found->second);
    entries_.erase(found);
    return true;
}

std::size_t SearchContexts::remove_all(bool scrolls) {
    std::vector<Entry> removed;
    const std::lock_guard lock(mutex_);
    for (auto at = entries_.begin(); at != entries_.end();) {
        if (at->second.context->is_scroll == scrolls) {
            removed.push_back(std::move(at->second));
            at = entries_.erase(at);
        } else {
            ++at;
        }
    }
    return removed.size();
}

void SearchContexts::purge() {
    std::vector<Entry> removed;
    const std::lock_guard lock(mutex_);
    for (auto at = entries_.begin(); at != entries_.end();) {
        if (at->second.expires <= Clock::now()) {
            removed.push_back(std::move(at->second));
            at = entries_.erase(at);
        } else {
            ++at;
        }
    }
}

/// As long as there is any: a context that nobody asks for again must still end, for it keeps the
/// logs of its indices from being emptied. Closing waits for files, so it is done on the blocking
/// pool.
void SearchContexts::watch() {
    auto timer = std::make_shared<boost::asio::steady_timer>(runtime_.io(), kWatchInterval);
    timer->async_wait([weak = weak_from_this(), timer](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || error) return;
        boost::asio::post(self->runtime_.blocking(), [weak] {
            const auto contexts = weak.lock();
            if (!contexts) return;
            contexts->purge();
            const std::lock_guard lock(contexts->mutex_);
            contexts->watching_ = !contexts->entries_.empty();
            if (contexts->watching_) contexts->watch();
        });
    });
}

}  // namespace penstock::serve
