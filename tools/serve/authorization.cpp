#include "tools/serve/authorization.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "tools/serve/api_error.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

constexpr std::string_view kChallenge =
    R"({"WWW-Authenticate":["Basic realm=\"security\", charset=\"UTF-8\"","ApiKey"]})";

ApiError unauthenticated(const std::string& reason) {
    return ApiError(401, "security_exception", reason)
        .with("header", std::string(kChallenge))
        .header("WWW-Authenticate", "Basic realm=\"security\", charset=\"UTF-8\"")
        .header("WWW-Authenticate", "ApiKey");
}

std::string who(const Principal& principal) {
    return (principal.is_key ? "API key id [" : "user [") + principal.name + "]";
}

ApiError forbidden(const Request& request, const std::string& more) {
    return {403, "security_exception",
            "action [" + request.method + " " + std::string(request.route) +
                "] is unauthorized for " + who(*request.principal) + more};
}

// ---- What a route needs

struct Needs {
    enum class Of {
        nothing,
        cluster,
        /// The path's names as they stand: of one index, or of what is deleted.
        index,
        /// The indices of the path; without one there, all indices.
        indices,
        /// The indices of the path; without one there, the handler asks for each of the body's.
        named,
        /// The handler asks for each document; one of the privileges must be there somewhere.
        documents,
        everything,
    };
    Of of = Of::everything;
    unsigned index = IndexPrivilege::all;
    ClusterPrivilege cluster = ClusterPrivilege::all;
};

constexpr Needs index(unsigned privileges) {
    return {Needs::Of::index, privileges, ClusterPrivilege::all};
}
constexpr Needs indices(unsigned privileges) {
    return {Needs::Of::indices, privileges, ClusterPrivilege::all};
}
constexpr Needs named(unsigned privileges) {
    return {Needs::Of::named, privileges, ClusterPrivilege::all};
}
constexpr Needs documents(unsigned privileges) {
    return {Needs::Of::documents, privileges, ClusterPrivilege::all};
}
constexpr Needs cluster(ClusterPrivilege privilege) {
    return {Needs::Of::cluster, IndexPrivilege::all, privilege};
}

struct Rule {
    std::string_view methods;
    std::string_view pattern;
    Needs needs;
};

using Index = IndexPrivilege;
constexpr Needs kOpen{Needs::Of::nothing, Index::all, ClusterPrivilege::none};
constexpr Needs kMonitor = cluster(ClusterPrivilege::monitor);
constexpr std::string_view kIndexPart = "/{index}";

/// Where there is a route both with and without "/{index}" before it, the one without stands for
/// both.
constexpr auto kRules = std::to_array<Rule>({
    {"GET", "/", kOpen},
    {"GET", "/_health", kOpen},
    {"GET", "/_health/live", kOpen},
    {"GET", "/_health/ready", kOpen},
    {"GET", "/_security/_authenticate", kOpen},
    {"GET DELETE", "/_security/api_key", cluster(ClusterPrivilege::all)},
    // Documents.
    {"GET POST", "/_search", named(Index::read)},
    {"GET POST", "/_count", named(Index::read)},
    {"GET POST", "/_msearch", named(Index::read)},
    {"GET POST", "/_mget", named(Index::read)},
    {"GET POST DELETE", "/_search/scroll", named(Index::read)},
    {"GET POST DELETE", "/_search/scroll/{id}", named(Index::read)},
    {"POST", "/{index}/_pit", named(Index::read)},
    {"DELETE", "/_pit", named(Index::read)},
    {"POST", "/{index}/_search/point_in_time", named(Index::read)},
    {"DELETE", "/_search/point_in_time", named(Index::read)},
    {"DELETE", "/_search/point_in_time/_all", named(Index::read)},
    {"GET", "/{index}/_doc/{id}", index(Index::read)},
    {"GET", "/{index}/_source/{id}", index(Index::read)},
    {"PUT POST", "/{index}/_doc/{id}", documents(Index::add_doc | Index::put_doc)},
    {"DELETE", "/{index}/_doc/{id}", documents(Index::delete_doc)},
    {"POST", "/{index}/_doc", documents(Index::add_doc | Index::put_doc)},
    {"PUT POST", "/{index}/_create/{id}", documents(Index::add_doc)},
    {"POST", "/{index}/_update/{id}", documents(Index::update_doc)},
    {"POST PUT", "/_bulk", documents(Index::write)},
    {"POST", "/{index}/_update_by_query",
     indices(Index::read | Index::add_doc | Index::put_doc | Index::update_doc)},
    {"POST", "/{index}/_delete_by_query", indices(Index::read | Index::delete_doc)},
    {"POST", "/_reindex", documents(Index::add_doc | Index::put_doc)},
    // Indices.
    {"PUT", "/{index}", index(Index::create_index)},
    {"DELETE", "/{index}", index(Index::delete_index)},
    {"GET", "/{index}", indices(Index::metadata)},
    {"GET", "/_settings", indices(Index::metadata)},
    {"GET", "/_settings/{name}", indices(Index::metadata)},
    {"GET", "/_mapping", indices(Index::metadata)},
    {"GET", "/_mappings", indices(Index::metadata)},
    {"GET", "/_alias", indices(Index::metadata)},
    {"GET", "/_alias/{name}", indices(Index::metadata)},
    {"GET", "/{index}/_aliases", indices(Index::metadata)},
    {"GET", "/_aliases/{name}", indices(Index::metadata)},
    {"GET", "/_cat/aliases", indices(Index::metadata)},
    {"GET", "/_cat/aliases/{name}", indices(Index::metadata)},
    {"PUT", "/_settings", indices(Index::configure)},
    {"PUT POST", "/{index}/_mapping", indices(Index::configure)},
    {"PUT POST", "/{index}/_mappings", indices(Index::configure)},
    {"PUT POST DELETE", "/{index}/_alias/{name}", indices(Index::configure)},
    {"PUT POST DELETE", "/{index}/_aliases/{name}", indices(Index::configure)},
    {"POST", "/_aliases", named(Index::configure)},
    {"POST", "/{index}/_open", indices(Index::configure)},
    {"POST", "/{index}/_close", indices(Index::configure)},
    {"GET POST", "/_refresh", indices(Index::maintenance)},
    {"GET POST", "/_flush", indices(Index::maintenance)},
    {"POST", "/_flush/synced", indices(Index::maintenance)},
    {"POST", "/_forcemerge", indices(Index::maintenance)},
    {"POST", "/_cache/clear", indices(Index::maintenance)},
    {"GET", "/_stats", indices(Index::monitor)},
    {"GET", "/_stats/{metric}", indices(Index::monitor)},
    {"GET", "/_cat/indices", indices(Index::monitor)},
    {"GET", "/_cat/indices/{index}", indices(Index::monitor)},
    {"GET", "/_cluster/health/{index}", indices(Index::monitor)},
    {"GET", "/_cat/count", indices(Index::read)},
    {"GET", "/_cat/count/{index}", indices(Index::read)},
    // Requests that change nothing although they are no GET.
    {"GET POST", "/_ingest/pipeline/_simulate", kMonitor},
    {"GET POST", "/_ingest/pipeline/{id}/_simulate", kMonitor},
    {"POST", "/_ml/trained_models/{id}/_infer", kMonitor},
    {"POST", "/_ml/trained_models/{id}/deployment/_infer", kMonitor},
    {"POST", "/_inference/{id}", kMonitor},
    {"POST", "/_inference/{task}/{id}", kMonitor},
});

/// Of these, all others: a GET monitors, the rest manages.
constexpr auto kClusterFamilies = std::to_array<std::string_view>(
    {"_cat", "_cluster", "_component_template", "_delete_by_query", "_index_template", "_inference",
     "_ingest", "_license", "_ml", "_nodes", "_reindex", "_tasks", "_template", "_update_by_query",
     "_xpack", "metrics"});

std::string_view without_index(std::string_view route) {
    if (route.starts_with(kIndexPart)) route.remove_prefix(kIndexPart.size());
    return route;
}

using Rules = std::unordered_multimap<std::string_view, const Rule*>;

const Rules& rules() {
    static const Rules by_pattern = [] {
        Rules made;
        for (const Rule& rule : kRules)
            made.emplace(without_index(rule.pattern), &rule);
        return made;
    }();
    return by_pattern;
}

bool is_of_the_cluster(std::string_view route) {
    if (route.size() < 2) return false;
    const std::string_view family = route.substr(1, route.find('/', 1) - 1);
    return std::find(kClusterFamilies.begin(), kClusterFamilies.end(), family) !=
           kClusterFamilies.end();
}

Needs needs_of(const Request& request) {
    const std::string_view given = request.method;
    const std::string_view method = given == "HEAD" ? "GET" : given;
    const auto [begin, end] = rules().equal_range(without_index(request.route));
    for (auto rule = begin; rule != end; ++rule) {
        // The router knows the method: it is one of the list, or not there at all.
        if (rule->second->methods.find(method) != std::string_view::npos)
            return rule->second->needs;
    }
    if (is_of_the_cluster(request.route))
        return cluster(method == "GET" ? ClusterPrivilege::monitor : ClusterPrivilege::manage);
    return {};
}

// ---- Names

/// A part of an index expression.
std::string_view pattern_of(std::string_view part) {
    return part == "_all" ? "*" : part;
}

/// The parts that add to what an expression reaches: not those that only take away.
std::vector<std::string> reaching_parts(std::string_view expression) {
    std::vector<std::string> parts;
    bool after_pattern = false;
    for (std::string& part : split_list(expression)) {
        if (after_pattern && part.front() == '-') continue;
        after_pattern = after_pattern || part.find('*') != std::string::npos || part == "_all";
        parts.push_back(std::move(part));
    }
    return parts;
}

/// What is read through an alias goes through its filter, but requests that also write by query
/// see the index as it is.
bool grants_by_alias(unsigned privileges) {
    return (privileges & Index::read) == 0 || (privileges & Index::write) == 0;
}

/// Whether an expression reaches an index through aliases only, and the principal may use them all.
bool allowed_through_aliases(Node& node, const Request& request, unsigned privileges,
                             const std::string& index, std::string_view expression) {
    if (request.principal->permissions.allows(privileges, index) || !grants_by_alias(privileges))
        return false;
    const auto known = node.indices->metadata(index);
    if (!known) return false;
    bool reached = false;
    for (const std::string& part : reaching_parts(expression)) {
        const std::string_view pattern = pattern_of(part);
        if (matches_wildcard(pattern, index)) return false;
        for (const auto& [alias, content] : known->aliases) {
            if (!matches_wildcard(pattern, alias)) continue;
            if (!request.principal->permissions.allows(privileges, alias)) return false;
            reached = true;
        }
    }
    return reached;
}

bool may_everything(const Request& request) {
    return request.principal == nullptr || request.principal->permissions.allows_everything();
}

void need_index(const Request& request, unsigned privileges, std::string_view name) {
    if (request.principal == nullptr || request.principal->permissions.allows(privileges, name))
        return;
    throw forbidden(request, " on indices [" + std::string(name) + "]");
}

/// Reaches nothing.
constexpr std::string_view kNothing = "*,-*";

/// Whether an expression has a pattern that is wider than what the principal may use.
bool is_too_wide(const Request& request, unsigned privileges,
                 const std::vector<std::string>& parts) {
    return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
        return is_pattern(part) &&
               !request.principal->permissions.allows(privileges, pattern_of(part));
    });
}

/// The names that a principal may use, for patterns that are wider than that.
class AllowedNames {
  public:
    AllowedNames(const Node& node, const Request& request, unsigned privileges) {
        constexpr unsigned open_alone =
            Index::read | Index::write | Index::monitor | Index::maintenance;
        options_ = ExpandOptions::from(request.query, true,
                                       (privileges & open_alone) != 0 ? Reach::open : Reach::all);
        names_ = node.indices->known_names(grants_by_alias(privileges));
        std::erase_if(names_, [&](const KnownName& known) {
            return !request.principal->permissions.allows(privileges, known.name);
        });
        for (const KnownName& known : names_) {
            if (known.indices.empty()) indices_.insert(known.name);
        }
    }

    /// What a pattern reaches of them. Aliases that lead to nothing more are left out.
    std::vector<std::string> like(std::string_view pattern) const {
        const bool hidden = options_.hidden || pattern.starts_with('.');
        std::vector<std::string> names;
        for (const KnownName& known : names_) {
            const bool passed_over = (!hidden && known.name.starts_with('.')) ||
                                     !(known.closed ? options_.closed : options_.open);
            if (!passed_over && fits_pattern(pattern, known.name) && adds(known, pattern))
                names.push_back(known.name);
        }
        return names;
    }

  private:
    bool adds(const KnownName& known, std::string_view pattern) const {
        if (known.indices.empty()) return true;
        return !std::all_of(known.indices.begin(), known.indices.end(),
                            [&](const std::string& index) {
                                return fits_pattern(pattern, index) && indices_.contains(index);
                            });
    }

    ExpandOptions options_;
    std::vector<KnownName> names_;
    std::set<std::string, std::less<>> indices_;  ///< of these, by their own names
};

/// Names in the order in which an expression brings them, each once.
class NameList {
  public:
    void add(const std::string& name) {
        if (known_.insert(name).second) names_.push_back(name);
    }
    void exclude(std::string_view pattern) {
        std::erase_if(names_, [&](const std::string& name) {
            return fits_pattern(pattern, name) && known_.erase(name) > 0;
        });
    }
    std::string joined() const {
        std::string joined;
        for (const std::string& name : names_)
            joined += (joined.empty() ? "" : ",") + name;
        return joined;
    }

  private:
    std::vector<std::string> names_;
    std::set<std::string> known_;
};

/// An expression as the principal means it: a pattern that is wider than its rights reaches only
/// what it may use, as in Elasticsearch. Then names stand for patterns, of indices and of aliases.
std::string narrowed(const Node& node, const Request& request, unsigned privileges,
                     std::string_view expression) {
    check_expression(expression);
    const std::vector<std::string> parts =
        split_list(expression.empty() ? std::string_view("_all") : expression);
    if (!is_too_wide(request, privileges, parts)) return std::string(expression);
    const AllowedNames allowed(node, request, privileges);
    NameList names;
    std::set<std::string, std::less<>> seen;  // patterns that would add nothing more
    bool after_pattern = false;
    for (const std::string& part : parts) {
        if (after_pattern && part.front() == '-') {
            names.exclude(std::string_view(part).substr(1));
            seen.clear();
        } else if (!is_pattern(part)) {
            names.add(part);
        } else if (seen.insert(part).second) {
            after_pattern = true;
            for (const std::string& name : allowed.like(part))
                names.add(name);
        }
    }
    std::string joined = names.joined();
    return joined.empty() ? std::string(kNothing) : joined;
}

/// What one part of the path's expression reaches.
void authorize_part(Node& node, const Request& request, unsigned privileges,
                    const std::string& part) {
    const bool by_name = request.principal->permissions.allows(privileges, pattern_of(part));
    if (by_name && (grants_by_alias(privileges) || node.indices->metadata(part))) return;
    std::vector<std::string> indices;
    try {
        indices = node.indices->expand(part);
    } catch (const ApiError&) {
        if (by_name) return;
        throw forbidden(request, " on indices [" + part + "]");  // whether they exist is not told
    }
    if (indices.empty() && !by_name) throw forbidden(request, " on indices [" + part + "]");
    for (const std::string& index : indices)
        authorize_index(node, request, privileges, index, part);
}

void authorize_parts(Node& node, const Request& request, unsigned privileges,
                     std::string_view expression) {
    if (expression == kNothing) return;
    for (const std::string& part : reaching_parts(expression))
        authorize_part(node, request, privileges, part);
}

void authorize_indices(Node& node, Request& request, const Needs& needs) {
    if (!request.principal->permissions.allows_somewhere(needs.index))
        throw forbidden(request, ": it has no such privilege for any index");
    const std::string given = request.part("index");
    if (given.empty() && needs.of == Needs::Of::named) return;
    if (needs.of != Needs::Of::index)
        request.parts["index"] = narrowed(node, request, needs.index, given);
    authorize_parts(node, request, needs.index, request.part("index"));
}

}  // namespace

boost::asio::awaitable<void> authenticate(Node& node, Request& request) {
    if (node.credentials == nullptr || !node.credentials->required()) co_return;
    const std::string header = request.header("authorization");
    if (header.empty()) {
        throw unauthenticated("missing authentication credentials for REST request [" +
                              request.path + "]");
    }
    request.principal = co_await node.credentials->authenticate(header, node.runtime->blocking());
    if (request.principal == nullptr) {
        throw unauthenticated(
            "unable to authenticate with provided credentials for REST request [" + request.path +
            "]");
    }
}

void authorize(Node& node, Request& request) {
    if (may_everything(request)) return;
    const Needs needs = needs_of(request);
    switch (needs.of) {
        case Needs::Of::nothing:
            return;
        case Needs::Of::cluster:
            if (request.principal->permissions.allows(needs.cluster)) return;
            throw forbidden(request, ": it is not for what is of no index");
        case Needs::Of::index:
        case Needs::Of::indices:
        case Needs::Of::named:
            return authorize_indices(node, request, needs);
        case Needs::Of::documents:
            if (request.principal->permissions.allows_any_somewhere(needs.index)) return;
            throw forbidden(request, ": it has no such privilege for any index");
        case Needs::Of::everything:
            throw forbidden(request, ": it takes all privileges");
    }
}

ExpandOptions within_rights(const Request& request, ExpandOptions options) {
    options.hidden = options.hidden &&
                     (may_everything(request) ||
                      request.principal->permissions.allows(needs_of(request).index, kTasksIndex));
    return options;
}

void authorize_index(const Request& request, const std::string& name) {
    need_index(request, needs_of(request).index, name);
}

void authorize_index(Node& node, const Request& request, const std::string& index,
                     std::string_view expression) {
    authorize_index(node, request, needs_of(request).index, index, expression);
}

void authorize_index(Node& node, const Request& request, unsigned privileges,
                     const std::string& index, std::string_view expression) {
    if (may_everything(request)) return;
    if (!allowed_through_aliases(node, request, privileges, index, expression))
        need_index(request, privileges, index);
}

std::string authorize_names(Node& node, const Request& request, std::string_view expression) {
    return authorize_names(node, request, needs_of(request).index, expression);
}

std::string authorize_names(Node& node, const Request& request, unsigned privileges,
                            std::string_view expression) {
    if (may_everything(request)) return std::string(expression);
    std::string meant =
        narrowed(node, request, privileges, node.indices->resolve_names(expression));
    authorize_parts(node, request, privileges, meant);
    return meant;
}

void authorize_auto_create(const Request& request, const std::string& index) {
    if (may_everything(request) || request.principal->permissions.allows(Index::auto_create, index))
        return;
    throw forbidden(request, " on indices [" + index +
                                 "], which is not there: making it takes the index privilege "
                                 "[create_index], [auto_configure] or [manage]");
}

bool is_limited(const Request& request) {
    return request.principal != nullptr && !request.principal->permissions.allows(Index::all, "*");
}

bool sees_alias(const Request& request, const std::string& index, const std::string& alias) {
    if (may_everything(request)) return true;
    const Permissions& permissions = request.principal->permissions;
    const unsigned privileges = needs_of(request).index;
    return permissions.allows(privileges, index) || permissions.allows(privileges, alias);
}

void authorize_alias(const Request& request, const std::string& alias) {
    need_index(request, Index::configure, pattern_of(alias));
}

void authorize_all_indices(const Request& request) {
    need_index(request, Index::all, "*");
}

std::vector<GuardedRoute> guarded_routes() {
    std::vector<GuardedRoute> routes;
    routes.reserve(std::size(kRules));
    for (const Rule& rule : kRules)
        routes.push_back({rule.methods, rule.pattern});
    return routes;
}

}  // namespace penstock::serve
