// Indices, their settings, mappings and aliases, and templates for them.
#include <algorithm>
#include <functional>

#include "engine/document/json_writer.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/index_state.h"
#include "tools/serve/json_body.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/node.h"
#include "tools/serve/response_format.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;

/// What answers a request on the blocking pool.
using Work = Response (*)(Node&, const Request&, const std::string& body);

boost::asio::awaitable<Response> run(Node& node, Request& request, Work work) {
    std::string body = co_await request.body->read_all();
    if (!body.empty() && is_yaml(request)) body = yaml_to_json(body);
    co_return co_await runtime::call_on(node.runtime->blocking(),
                                        [&] { return work(node, request, body); });
}

/// Parameters that concern clusters of several nodes, or waiting for them.
std::vector<std::string> with_common(std::vector<std::string> more) {
    for (const char* name :
         {"master_timeout", "cluster_manager_timeout", "timeout", "wait_for_active_shards",
          "expand_wildcards", "ignore_unavailable", "allow_no_indices", "include_type_name",
          "local", "flat_settings", "include_defaults"})
        more.emplace_back(name);
    return more;
}

class Routes {
  public:
    Routes(Router& router, Node& node) : router_(router), node_(node) {}
    void add(std::string_view methods, std::string_view pattern, Work work,
             std::vector<std::string> parameters = {}) {
        Node& node = node_;
        router_.add(
            methods, pattern, [&node, work](Request& request) { return run(node, request, work); },
            with_common(std::move(parameters)));
    }

  private:
    Router& router_;
    Node& node_;
};

Response acknowledged() {
    return Response::json(R"({"acknowledged":true})");
}

/// Says what the mappings in `body` (or below `template` in it) ask for in vain.
Response with_warnings(Response response, const Node& node, const JsonTree& body) {
    const JsonTree* inner = body.find("template");
    const JsonTree* mappings = (inner == nullptr ? body : *inner).find("mappings");
    if (mappings == nullptr) return response;
    for (const std::string& text : ignored_options(normalise_mappings(*mappings)))
        add_warning(response, node.compat, text);
    return response;
}

std::vector<std::string> indices_of(Node& node, const Request& request, bool none_allowed = true) {
    return node.indices->expand(
        request.part("index"),
        within_rights(request, ExpandOptions::from(request.query, none_allowed)));
}

IndexMetadata need(Node& node, const std::string& index) {
    auto metadata = node.indices->metadata(index);
    if (!metadata) throw index_not_found(index);
    return *metadata;
}

void shards(JsonWriter& json, std::size_t count, std::size_t failed = 0) {
    json.member_object("_shards", [&] {
        json.member("total", count);
        json.member("successful", count - failed);
        json.member("failed", failed);
    });
}

std::string settings_json(const Request& request, const IndexMetadata& metadata,
                          std::string_view names) {
    FlatSettings settings = flatten_settings(JsonTree::parse(metadata.settings));
    if (!names.empty() && names != "_all" && names != "*") {
        const std::vector<std::string> wanted = split_list(names);
        std::erase_if(settings, [&](const auto& setting) {
            return std::none_of(wanted.begin(), wanted.end(), [&](const std::string& pattern) {
                return matches_wildcard(pattern, setting.first);
            });
        });
    }
    if (!request.query.flag("flat_settings")) return nest_settings(settings).json();
    JsonTree flat;
    for (const auto& [name, value] : settings)
        flat.set(name, JsonTree::leaf(value));
    return flat.json();
}

std::string aliases_json(const IndexMetadata& metadata) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const auto& [name, alias] : metadata.aliases)
            json.member_raw(name, alias);
    });
    return out;
}

// ---- Indices

/// What is written to an alias goes to its index: whoever makes one must have a say over its name.
void authorize_aliases(const Request& request, const std::string& body) {
    if (body.empty()) return;
    const JsonTree index = JsonTree::parse(body);
    if (const JsonTree* aliases = index.find("aliases")) {
        for (const auto& [alias, content] : aliases->members())
            authorize_alias(request, alias);
    }
}

Response create_index(Node& node, const Request& request, const std::string& body) {
    const std::string& name = request.part("index");
    authorize_aliases(request, body);
    node.indices->create(name, body);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", true);
        json.member("shards_acknowledged", true);
        json.member("index", name);
    });
    return with_warnings(Response::json(std::move(out)), node, JsonTree::parse(body));
}

Response get_index(Node& node, const Request& request, const std::string&) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const std::string& index : indices_of(node, request)) {
            const IndexMetadata metadata = need(node, index);
            json.member_object(index, [&] {
                json.member_raw("aliases", aliases_json(metadata));
                json.member_raw("mappings", node.indices->effective_mappings(index));
                json.member_raw("settings", settings_json(request, metadata, ""));
            });
        }
    });
    return Response::json(std::move(out));
}

Response index_exists(Node& node, const Request& request, const std::string&) {
    try {
        const bool found = !indices_of(node, request, false).empty();
        return Response::text("", found ? 200 : 404);
    } catch (const ApiError& error) {
        if (error.status() != 404) throw;
        return Response::text("", 404);
    }
}

/// What is deleted is named by its own name, or by a pattern that fits it.
void refuse_aliases(Node& node, std::string_view expression, bool ignore_unavailable = false) {
    for (const std::string& part : split_list(expression)) {
        if (part.find('*') != std::string::npos || part == "_all" || node.indices->exists(part))
            continue;
        if (!node.indices->expand(part, {.ignore_unavailable = ignore_unavailable}).empty())
            throw illegal_argument("The provided expression [" + part +
                                   "] matches an alias, specify the corresponding concrete indices "
                                   "instead.");
    }
}

Response delete_index(Node& node, const Request& request, const std::string&) {
    const std::string& expression = request.part("index");
    const bool patterns =
        expression.find('*') != std::string::npos || expression == "_all" || expression.empty();
    if (patterns && node.compat.is_elasticsearch() && node.compat.major >= 8)
        throw illegal_argument("Wildcard expressions or all indices are not allowed");
    refuse_aliases(node, expression, request.query.flag("ignore_unavailable", false));
    for (const std::string& index : indices_of(node, request))
        node.indices->remove(index);
    return acknowledged();
}

// ---- Settings and mappings

Response get_settings(Node& node, const Request& request, const std::string&) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const std::string& index : indices_of(node, request)) {
            const IndexMetadata metadata = need(node, index);
            json.member_object(index, [&] {
                json.member_raw("settings", settings_json(request, metadata, request.part("name")));
                if (request.query.flag("include_defaults")) json.member_raw("defaults", "{}");
            });
        }
    });
    return Response::json(std::move(out));
}

Response put_settings(Node& node, const Request& request, const std::string& body) {
    if (body.empty()) throw parsing_error("request body is required");
    const bool keep = request.query.flag("preserve_existing");
    for (const std::string& index : indices_of(node, request)) {
        if (!keep) {
            node.indices->put_settings(index, body);
            continue;
        }
        FlatSettings changes = flatten_settings(JsonTree::parse(body));
        const FlatSettings known = flatten_settings(JsonTree::parse(need(node, index).settings));
        std::erase_if(changes, [&](const auto& change) { return known.contains(change.first); });
        node.indices->put_settings(index, nest_settings(changes).json());
    }
    return acknowledged();
}

Response get_mapping(Node& node, const Request& request, const std::string&) {
    const bool typed = request.query.flag("include_type_name", false);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const std::string& index : indices_of(node, request)) {
            const std::string mappings = node.indices->effective_mappings(index);
            json.member_object(index, [&] {
                json.member_raw("mappings", typed && mappings != "{}"
                                                ? "{\"_doc\":" + mappings + "}"
                                                : mappings);
            });
        }
    });
    return Response::json(std::move(out));
}

Response put_mapping(Node& node, const Request& request, const std::string& body) {
    if (body.empty()) throw action_validation({"mapping source is missing"});
    for (const std::string& index : indices_of(node, request, false))
        node.indices->put_mappings(index, body);
    JsonTree whole;
    whole.set("mappings", JsonTree::parse(body));
    return with_warnings(acknowledged(), node, whole);
}

// ---- Aliases

bool alias_wanted(const std::vector<std::string>& patterns, const std::string& alias) {
    return patterns.empty() ||
           std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
               return pattern == "_all" || matches_wildcard(pattern, alias);
           });
}

Response get_alias(Node& node, const Request& request, const std::string&) {
    const std::vector<std::string> patterns = split_list(request.part("name"));
    std::vector<std::string> missing;
    for (const std::string& pattern : patterns) {
        if (pattern.find('*') == std::string::npos && pattern != "_all") missing.push_back(pattern);
    }
    std::string out;
    JsonWriter json(out);
    const std::vector<std::string> indices = indices_of(node, request);
    const bool all = request.part("index").empty();
    json.object([&] {
        for (const std::string& index : indices) {
            // A damaged index keeps nobody from the aliases of the others.
            const auto readable = all ? node.indices->readable(index) : nullptr;
            if (all && !readable) continue;
            const IndexMetadata metadata = all ? *readable : need(node, index);
            std::vector<std::pair<std::string, std::string>> aliases;
            for (const auto& alias : metadata.aliases) {
                if (alias_wanted(patterns, alias.first)) aliases.push_back(alias);
                std::erase(missing, alias.first);
            }
            if (aliases.empty() && (!patterns.empty() || all)) continue;
            json.member_object(index, [&] {
                json.member_object("aliases", [&] {
                    for (const auto& [name, alias] : aliases)
                        json.member_raw(name, alias);
                });
            });
        }
    });
    if (missing.empty()) return Response::json(std::move(out));
    std::string names;
    for (const std::string& name : missing)
        names += (names.empty() ? "" : ",") + name;
    JsonTree found = JsonTree::parse(out);
    JsonTree answer;
    answer.set("error", JsonTree::text((missing.size() > 1 ? "aliases [" : "alias [") + names +
                                       "] missing"));
    answer.set("status", JsonTree::leaf("404"));
    answer.merge(found);
    return Response::json(answer.json(), 404);
}

Response put_alias(Node& node, const Request& request, const std::string& body) {
    authorize_alias(request, request.part("name"));
    std::vector<AliasChange> changes;
    for (const std::string& index : indices_of(node, request, false))
        changes.push_back({AliasChange::Kind::add, index, request.part("name"), body});
    node.indices->change_aliases(changes);
    return acknowledged();
}

/// Appends the removal of those aliases that the patterns fit.
void remove_aliases(Node& node, const std::vector<std::string>& indices,
                    const std::vector<std::string>& patterns, bool must_exist,
                    std::vector<AliasChange>& changes) {
    const std::size_t before = changes.size();
    for (const std::string& index : indices) {
        for (const auto& [alias, content] : need(node, index).aliases) {
            if (alias_wanted(patterns, alias))
                changes.push_back({AliasChange::Kind::remove, index, alias, {}});
        }
    }
    if (changes.size() > before || !must_exist) return;
    std::string names;
    for (const std::string& pattern : patterns)
        names += (names.empty() ? "" : ",") + pattern;
    throw ApiError(404, "aliases_not_found_exception", "aliases [" + names + "] missing")
        .with_text("resource.type", "aliases")
        .with_text("resource.id", names);
}

Response delete_alias(Node& node, const Request& request, const std::string&) {
    for (const std::string& alias : split_list(request.part("name")))
        authorize_alias(request, alias);
    std::vector<AliasChange> changes;
    remove_aliases(node, indices_of(node, request, false), split_list(request.part("name")), true,
                   changes);
    node.indices->change_aliases(changes);
    return acknowledged();
}

std::vector<std::string> texts(const document::Object& action, std::string_view one,
                               std::string_view several) {
    std::vector<std::string> all;
    for (const std::string_view name : {one, several}) {
        const document::Value* value = member(action, name);
        if (value == nullptr) continue;
        if (value->is_string()) all.emplace_back(value->as_string());
        if (!value->is_array()) continue;
        for (const document::Value& element : value->as_array()) {
            if (element.is_string()) all.emplace_back(element.as_string());
        }
    }
    return all;
}

/// Appends what one action comes to for each index and alias that it names.
void alias_action(Node& node, const Request& request, const document::Member& action,
                  std::vector<AliasChange>& changes) {
    if (!action.value.is_object()) throw parsing_error("alias action is expected to be an object");
    const document::Object& options = action.value.as_object();
    const std::vector<std::string> expressions = texts(options, "index", "indices");
    const std::vector<std::string> aliases = texts(options, "alias", "aliases");
    if (expressions.empty()) throw illegal_argument("One of [index] or [indices] is required");
    std::vector<std::string> indices;
    for (const std::string& given : expressions) {
        const std::string expression = authorize_names(node, request, given);
        if (action.key() == "remove_index") refuse_aliases(node, expression);
        for (std::string& index : node.indices->expand(expression)) {
            authorize_index(request, index);
            indices.push_back(std::move(index));
        }
    }
    if (action.key() == "remove_index") {
        for (const std::string& index : indices)
            changes.push_back({AliasChange::Kind::remove_index, index, {}, {}});
        return;
    }
    if (aliases.empty()) throw illegal_argument("One of [alias] or [aliases] is required");
    for (const std::string& alias : aliases)
        authorize_alias(request, alias);
    if (action.key() == "remove") {
        const document::Value* must = member(options, "must_exist");
        const bool must_exist = must == nullptr || !must->is_boolean() || must->as_boolean();
        remove_aliases(node, indices, aliases, must_exist, changes);
        return;
    }
    if (action.key() != "add")
        throw parsing_error("[aliases] unknown field [" + std::string(action.key()) + "]");
    JsonTree content = JsonTree::from(action.value);
    for (const char* name : {"index", "indices", "alias", "aliases"})
        content.remove(name);
    for (const std::string& index : indices) {
        for (const std::string& alias : aliases)
            changes.push_back({AliasChange::Kind::add, index, alias, content.json()});
    }
}

Response update_aliases(Node& node, const Request& request, const std::string& body) {
    JsonBody parsed;
    parsed.parse(body);
    const document::Value* actions = parsed.find("actions");
    if (actions == nullptr || !actions->is_array() || actions->as_array().empty())
        throw action_validation({"Must specify at least one alias action"});
    std::vector<AliasChange> changes;
    for (const document::Value& action : actions->as_array()) {
        if (!action.is_object() || action.as_object().size() != 1)
            throw parsing_error("[aliases] each action must be an object with one member");
        alias_action(node, request, action.as_object()[0], changes);
    }
    node.indices->change_aliases(changes);
    return acknowledged();
}

// ---- Maintenance

Response shards_response(std::size_t count) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { shards(json, count); });
    return Response::json(std::move(out));
}

Response refresh(Node& node, const Request& request, const std::string&) {
    const std::vector<std::string> indices = indices_of(node, request);
    for (const std::string& index : indices)
        node.store->refresh(index);
    return shards_response(indices.size());
}

/// Whatever is written is on the disk, and nothing is cached that could be stale.
Response nothing_to_do(Node& node, const Request& request, const std::string&) {
    return shards_response(indices_of(node, request).size());
}

Response force_merge(Node& node, const Request& request, const std::string&) {
    const std::vector<std::string> indices = indices_of(node, request);
    for (const std::string& index : indices)
        node.store->optimize(index);
    return shards_response(indices.size());
}

Response open_index(Node& node, const Request& request, const std::string&) {
    indices_of(node, request, false);
    return Response::json(R"({"acknowledged":true,"shards_acknowledged":true})");
}

/// What is closed here stays readable: there is nothing that closing would free.
Response close_index(Node& node, const Request& request, const std::string&) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", true);
        json.member("shards_acknowledged", true);
        json.member_object("indices", [&] {
            for (const std::string& index : indices_of(node, request, false))
                json.member_raw(index, R"({"closed":true})");
        });
    });
    return Response::json(std::move(out));
}

struct Statistics {
    std::uint64_t docs = 0;
    std::uint64_t bytes = 0;
    int contexts = 0;
};

void write_statistics(JsonWriter& json, const Statistics& statistics) {
    for (const char* part : {"primaries", "total"}) {
        json.member_object(part, [&] {
            json.member_object("docs", [&] {
                json.member("count", statistics.docs);
                json.member("deleted", 0);
                json.member("total_size_in_bytes", statistics.bytes);
            });
            json.member_object("store", [&] {
                json.member("size_in_bytes", statistics.bytes);
                json.member("total_data_set_size_in_bytes", statistics.bytes);
                json.member("reserved_in_bytes", 0);
            });
            json.member_object("search",
                               [&] { json.member("open_contexts", statistics.contexts); });
        });
    }
}

Response index_stats(Node& node, const Request& request, const std::string&) {
    // What is damaged has no numbers, and keeps nobody from those of the others.
    const std::vector<IndexState> states = index_states(node, indices_of(node, request));
    std::map<std::string, Statistics> all;
    Statistics sum;
    for (const IndexState& state : states) {
        if (state.damaged) continue;
        const Statistics one{state.info.docs, state.info.bytes,
                             node.indices->open_contexts(state.name)};
        all.emplace(state.name, one);
        sum.docs += one.docs;
        sum.bytes += one.bytes;
        sum.contexts += one.contexts;
    }
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        shards(json, states.size(), count_damaged(states));
        json.member_object("_all", [&] { write_statistics(json, sum); });
        json.member_object("indices", [&] {
            for (const IndexState& state : states) {
                if (state.damaged) continue;
                json.member_object(state.name, [&] {
                    json.member("uuid", state.metadata->uuid);
                    json.member("health", "green");
                    json.member("status", "open");
                    write_statistics(json, all.at(state.name));
                });
            }
        });
    });
    return Response::json(std::move(out));
}

// ---- Templates

template <TemplateKind kind>
Response put_template(Node& node, const Request& request, const std::string& body) {
    if (body.empty()) throw parsing_error("request body is required");
    node.indices->templates().put(kind, request.part("name"), body,
                                  request.query.flag("create", false));
    return with_warnings(acknowledged(), node, JsonTree::parse(body));
}

std::vector<StoredTemplate> find_templates(Node& node, const Request& request, TemplateKind kind) {
    std::vector<StoredTemplate> found;
    const std::vector<std::string> patterns = split_list(request.part("name"));
    if (patterns.empty()) return node.indices->templates().match(kind, "");
    for (const std::string& pattern : patterns) {
        for (StoredTemplate& one : node.indices->templates().match(kind, pattern))
            found.push_back(std::move(one));
    }
    return found;
}

bool names_one(const Request& request) {
    const std::string& name = request.part("name");
    return !name.empty() && name.find('*') == std::string::npos;
}

template <TemplateKind kind>
Response get_templates(Node& node, const Request& request, const std::string&) {
    constexpr bool composable = kind == TemplateKind::composable;
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (found.empty() && names_one(request))
        throw resource_not_found(
            (composable ? "index template matching [" : "component template matching [") +
            request.part("name") + "] not found");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array(composable ? "index_templates" : "component_templates", [&] {
            for (const StoredTemplate& one : found) {
                json.object([&] {
                    json.member("name", one.name);
                    json.member_raw(composable ? "index_template" : "component_template", one.json);
                });
            }
        });
    });
    return Response::json(std::move(out));
}

Response get_legacy_templates(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, TemplateKind::legacy);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const StoredTemplate& one : found) {
            JsonTree shown = JsonTree::parse(R"({"order":0})");
            shown.merge(JsonTree::parse(one.json));
            for (const char* part : {"settings", "mappings", "aliases"})
                shown.at(part);
            shown.set("settings", nest_settings(flatten_settings(*shown.find("settings"))));
            json.member_raw(one.name, shown.json());
        }
    });
    return Response::json(std::move(out), found.empty() && names_one(request) ? 404 : 200);
}

template <TemplateKind kind>
Response template_exists(Node& node, const Request& request, const std::string&) {
    return Response::text("", find_templates(node, request, kind).empty() ? 404 : 200);
}

template <TemplateKind kind>
Response delete_template(Node& node, const Request& request, const std::string&) {
    const std::vector<StoredTemplate> found = find_templates(node, request, kind);
    if (found.empty() && names_one(request)) {
        const std::string& name = request.part("name");
        throw kind == TemplateKind::component
            ? resource_not_found("component_template [" + name + "] missing")
            : ApiError(404, "index_template_missing_exception",
                       "index_template [" + name + "] missing");
    }
    for (const StoredTemplate& one : found)
        node.indices->templates().remove(kind, one.name);
    return acknowledged();
}

template <TemplateKind kind>
void add_templates(Routes& routes, const std::string& path, Work get) {
    routes.add("PUT POST", path + "/{name}", put_template<kind>, {"create", "cause", "order"});
    routes.add("GET", path, get);
    routes.add("GET", path + "/{name}", get);
    routes.add("HEAD", path + "/{name}", template_exists<kind>);
    routes.add("DELETE", path + "/{name}", delete_template<kind>);
}

void add_aliases(Routes& routes) {
    routes.add("POST", "/_aliases", update_aliases);
    for (const std::string path : {"/_alias", "/_aliases"}) {
        if (path == "/_alias") routes.add("GET", path, get_alias);
        routes.add("GET", path + "/{name}", get_alias);
        routes.add("GET", "/{index}" + path, get_alias);
        routes.add("GET", "/{index}" + path + "/{name}", get_alias);
        routes.add("PUT POST", "/{index}" + path + "/{name}", put_alias);
        routes.add("DELETE", "/{index}" + path + "/{name}", delete_alias);
    }
}

void add_maintenance(Routes& routes) {
    for (const std::string index : {"", "/{index}"}) {
        routes.add("GET POST", index + "/_refresh", refresh);
        routes.add("GET POST", index + "/_flush", nothing_to_do, {"force", "wait_if_ongoing"});
        routes.add("POST", index + "/_flush/synced", nothing_to_do);
        routes.add("POST", index + "/_cache/clear", nothing_to_do,
                   {"fielddata", "query", "request", "fields"});
        routes.add("POST", index + "/_forcemerge", force_merge,
                   {"max_num_segments", "only_expunge_deletes", "flush", "wait_for_completion"});
        for (const std::string metric : {"", "/{metric}"})
            routes.add("GET", index + "/_stats" + metric, index_stats,
                       {"level", "fields", "groups", "forbid_closed_indices",
                        "include_segment_file_sizes", "completion_fields", "fielddata_fields"});
    }
    routes.add("POST", "/{index}/_open", open_index);
    routes.add("POST", "/{index}/_close", close_index);
}

}  // namespace

void add_index_routes(Router& router, Node& node) {
    Routes routes(router, node);
    routes.add("PUT", "/{index}", create_index);
    routes.add("GET", "/{index}", get_index, {"features", "human"});
    routes.add("HEAD", "/{index}", index_exists);
    routes.add("DELETE", "/{index}", delete_index);
    for (const std::string index : {"", "/{index}"}) {
        routes.add("GET", index + "/_settings", get_settings);
        routes.add("GET", index + "/_settings/{name}", get_settings);
        routes.add("PUT", index + "/_settings", put_settings, {"preserve_existing", "reopen"});
        routes.add("GET", index + "/_mapping", get_mapping);
        routes.add("GET", index + "/_mappings", get_mapping);
    }
    routes.add("PUT POST", "/{index}/_mapping", put_mapping, {"write_index_only"});
    routes.add("PUT POST", "/{index}/_mappings", put_mapping, {"write_index_only"});
    add_aliases(routes);
    add_maintenance(routes);
    add_templates<TemplateKind::composable>(routes, "/_index_template",
                                            get_templates<TemplateKind::composable>);
    add_templates<TemplateKind::component>(routes, "/_component_template",
                                           get_templates<TemplateKind::component>);
    add_templates<TemplateKind::legacy>(routes, "/_template", get_legacy_templates);
}

}  // namespace penstock::serve
