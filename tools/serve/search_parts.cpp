#include "tools/serve/search_parts.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/index_registry.h"
#include "tools/serve/json_body.h"
#include "tools/serve/shard_routing.h"

namespace penstock::serve {

namespace {

constexpr std::size_t kMaxLookups = 100;      ///< documents that one request takes terms of
constexpr std::size_t kMaxLookedUp = 65'536;  ///< terms of all of them

/// Which documents of one index are of a slice. As Elasticsearch: whole shards where there are
/// enough of them, else parts of shards.
class SliceOfIndex {
  public:
    SliceOfIndex(const SearchSlice& slice, std::int64_t shards, std::int64_t routing_shards)
        : id_(static_cast<std::int64_t>(slice.id)),
          max_(static_cast<std::int64_t>(slice.max)),
          shards_(shards),
          routing_shards_(routing_shards) {}

    bool operator()(const std::string& id, const std::string& routing) const {
        const std::int64_t shard =
            shard_of(routing.empty() ? id : routing, shards_, routing_shards_);
        if (max_ < shards_) return shard % max_ == id_;
        if (id_ % shards_ != shard) return false;
        const std::int64_t parts = max_ / shards_ + (max_ % shards_ > shard ? 1 : 0);
        // Another hash than that of the shards: with the same one, parts would be empty.
        return shard_of("slice of " + id, parts, parts) == id_ / shards_;
    }

  private:
    std::int64_t id_;
    std::int64_t max_;
    std::int64_t shards_;
    std::int64_t routing_shards_;
};

std::map<std::string, double> boosts_of(Node& node, const Request& request,
                                        const SearchRequest& search, const ExpandOptions& options) {
    std::map<std::string, double> boosts;
    std::set<std::string_view> seen;
    for (const auto& [name, boost] : search.indices_boost) {
        if (!seen.insert(name).second) continue;
        const std::string meant = authorize_names(node, request, name);
        for (const std::string& index : node.indices->expand(meant, options))
            boosts.try_emplace(index, boost);
    }
    return boosts;
}

}  // namespace

void arrange_parts(Node& node, const Request& request, const SearchRequest& search,
                   const ExpandOptions& options, std::vector<io::SearchPart>& parts) {
    const auto boosts = boosts_of(node, request, search, options);
    for (io::SearchPart& part : parts) {
        const std::string& index = part.snapshot->index();
        if (const auto found = boosts.find(index); found != boosts.end())
            part.boost = found->second;
        if (search.slice)
            part.in_slice = SliceOfIndex(*search.slice, part.shards, part.routing_shards);
    }
}

io::TermsLoader terms_loader(Node& node, const Request& request) {
    // Of all queries of the request: each of them is kept until the last is read.
    struct Taken {
        std::size_t lookups = 0;
        std::size_t terms = 0;
    };
    auto taken = std::make_shared<Taken>();
    return [&node, &request, taken](const io::TermsLookup& lookup,
                                    const std::function<void(document::Value)>& take) {
        if (++taken->lookups > kMaxLookups)
            throw illegal_argument("a request may look up the terms of at most [" +
                                   std::to_string(kMaxLookups) + "] documents");
        authorize_names(node, request, lookup.index);
        const std::string index = node.indices->single(lookup.index);
        authorize_index(node, request, index, lookup.index);
        const auto stored = node.store->get(index, lookup.id, false);
        if (!stored) return;
        const auto metadata = node.indices->readable(index);
        if (metadata && !metadata->finds(lookup.id, stored->routing, lookup.routing)) return;
        document::Arena arena;
        const auto source = parse_stored(stored->source, arena);
        if (!source) return;
        io::visit_values(*source, lookup.path, [&](document::Value value) {
            if (value.is_null()) return false;
            if (++taken->terms > kMaxLookedUp)
                throw illegal_argument("the terms that a request looks up are more than [" +
                                       std::to_string(kMaxLookedUp) + "] together");
            take(value);
            return false;
        });
    };
}

}  // namespace penstock::serve
