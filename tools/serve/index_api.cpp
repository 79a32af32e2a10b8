// Indices, their settings, mappings and aliases.
#include <algorithm>
#include <cstddef>
#include <set>

#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/index_routes.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/json_body.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/node.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;

/// Leaves those that a list of names and patterns wants.
void choose_settings(FlatSettings& settings, std::string_view names) {
    if (names.empty() || names == "_all" || names == "*") return;
    const std::vector<std::string> wanted = split_list(names);
    std::erase_if(settings, [&](const auto& setting) {
        return std::none_of(wanted.begin(), wanted.end(), [&](const std::string& pattern) {
            return matches_wildcard(pattern, setting.first);
        });
    });
}

std::string settings_json(const Request& request, const IndexMetadata& metadata,
                          std::string_view names = {}) {
    FlatSettings settings = settings_of(metadata.settings);
    choose_settings(settings, names);
    return shown_settings(settings, request.query.flag("flat_settings")).json();
}

/// Of the settings that are not given.
std::string defaults_json(const Request& request, const IndexMetadata& metadata,
                          std::string_view names = {}) {
    FlatSettings defaults = default_settings();
    for (const auto& [name, value] : settings_of(metadata.settings))
        defaults.erase(name);
    choose_settings(defaults, names);
    return shown_settings(defaults, request.query.flag("flat_settings")).json();
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
void authorize_aliases(Node& node, const Request& request, const JsonTree& index) {
    if (const JsonTree* aliases = index.find("aliases")) {
        for (const auto& [alias, content] : aliases->members())
            authorize_alias(request, node.indices->resolve_names(alias));
    }
}

/// Mappings may have the type around them only where a request says that they do.
void refuse_types(const Request& request, const JsonTree& mappings, const std::string& reason) {
    if (is_typed(mappings) && !request.query.flag("include_type_name", false))
        throw illegal_argument(reason);
}

Response create_index(Node& node, const Request& request, const std::string& body) {
    const std::string& name = request.part("index");
    const JsonTree given = JsonTree::parse(body);
    authorize_aliases(node, request, given);
    if (const JsonTree* mappings = given.find("mappings"))
        refuse_types(request, *mappings,
                     "The mapping definition cannot be nested under a type [_doc] unless "
                     "include_type_name is set to true.");
    node.indices->create(name, body);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", true);
        json.member("shards_acknowledged", true);
        json.member("index", name);
    });
    return with_warnings(Response::json(std::move(out)), node, given);
}

/// The parts of an index's description that a request wants: all of them where it does not say.
struct Features {
    bool aliases = true;
    bool mappings = true;
    bool settings = true;

    static Features from(const Parameters& parameters) {
        if (!parameters.has("features")) return {};
        Features features{false, false, false};
        for (const std::string& name : parameters.list("features")) {
            if (name == "aliases") {
                features.aliases = true;
            } else if (name == "mappings") {
                features.mappings = true;
            } else if (name == "settings") {
                features.settings = true;
            } else {
                throw illegal_argument("Invalid features specified [" + name +
                                       "]; known: aliases, mappings, settings");
            }
        }
        return features;
    }
};

Response get_index(Node& node, const Request& request, const std::string&) {
    const Features features = Features::from(request.query);
    const bool defaults = request.query.flag("include_defaults");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const std::string& index : indices_of(node, request)) {
            const IndexMetadata metadata = need_metadata(node, index);
            json.member_object(index, [&] {
                if (features.aliases) json.member_raw("aliases", aliases_json(metadata));
                if (features.mappings)
                    json.member_raw("mappings", node.indices->effective_mappings(index));
                if (features.settings)
                    json.member_raw("settings", settings_json(request, metadata));
                if (features.settings && defaults)
                    json.member_raw("defaults", defaults_json(request, metadata));
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

/// What is deleted is named by its own name, or by a pattern that fits it. `ignore_unavailable`:
/// aliases are passed over.
void refuse_aliases(Node& node, std::string_view expression, bool ignore_unavailable = false) {
    for (const std::string& part : split_list(expression)) {
        if (part.find('*') != std::string::npos || part == "_all" || node.indices->exists(part))
            continue;
        if (ignore_unavailable) continue;
        if (!node.indices->expand(part).empty())
            throw illegal_argument("The provided expression [" + part +
                                   "] matches an alias, specify the corresponding concrete indices "
                                   "instead.");
    }
}

Response delete_index(Node& node, const Request& request, const std::string&) {
    const std::string& expression = request.part("index");
    const bool patterns =
        expression.find('*') != std::string::npos || expression == "_all" || expression.empty();
    const bool names_alone = node.compat.is_elasticsearch() && node.compat.major >= 8;
    if (patterns && node.indices->names_to_delete().value_or(names_alone))
        throw illegal_argument("Wildcard expressions or all indices are not allowed");
    refuse_aliases(node, expression, request.query.flag("ignore_unavailable", false));
    ExpandOptions options = ExpandOptions::from(request.query, true, Reach::all);
    options.aliases = false;
    for (const std::string& index :
         node.indices->expand(expression, within_rights(request, options)))
        node.indices->remove(index);
    return acknowledged();
}

// ---- Settings and mappings

Response get_settings(Node& node, const Request& request, const std::string&) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const std::string& index : indices_of(node, request, true, Reach::all)) {
            const IndexMetadata metadata = need_metadata(node, index);
            json.member_object(index, [&] {
                json.member_raw("settings", settings_json(request, metadata, request.part("name")));
                if (request.query.flag("include_defaults"))
                    json.member_raw("defaults",
                                    defaults_json(request, metadata, request.part("name")));
            });
        }
    });
    return Response::json(std::move(out));
}

Response put_settings(Node& node, const Request& request, const std::string& body) {
    if (body.empty()) throw parsing_error("request body is required");
    const bool keep = request.query.flag("preserve_existing");
    const bool reopen = request.query.flag("reopen", false);
    for (const std::string& index : indices_of(node, request, true, Reach::all)) {
        if (!keep) {
            node.indices->put_settings(index, body, reopen);
            continue;
        }
        FlatSettings changes = requested_settings(JsonTree::parse(body));
        const FlatSettings known =
            flatten_settings(JsonTree::parse(need_metadata(node, index).settings));
        std::erase_if(changes, [&](const auto& change) { return known.contains(change.first); });
        node.indices->put_settings(index, nest_settings(changes).json(), reopen);
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
    const JsonTree mappings = JsonTree::parse(body);
    const bool types_gone = !node.compat.is_elasticsearch() || node.compat.major >= 8;
    refuse_types(request, mappings,
                 types_gone ? "Types cannot be provided in put mapping requests"
                            : "Types cannot be provided in put mapping requests, unless the "
                              "include_type_name parameter is set to true.");
    for (const std::string& index : indices_of(node, request, false, Reach::all))
        node.indices->put_mappings(index, body);
    JsonTree whole;
    whole.set("mappings", mappings);
    return with_warnings(acknowledged(), node, whole);
}

// ---- Aliases

/// Names and patterns of aliases as a request lists them: what "-NAME" fits behind a pattern is
/// left out again.
class AliasPatterns {
  public:
    explicit AliasPatterns(std::string_view list) : parts_(split_list(list)) {
        const auto pattern = std::find_if(parts_.begin(), parts_.end(), is_pattern);
        first_pattern_ = static_cast<std::size_t>(pattern - parts_.begin());
    }

    bool empty() const { return parts_.empty(); }

    bool want(const std::string& alias) const {
        bool wanted = parts_.empty();
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            const std::string_view part = parts_[i];
            if (excludes(i)) {
                wanted = wanted && !fits_pattern(part.substr(1), alias);
            } else {
                wanted = wanted || fits_pattern(part, alias);
            }
        }
        return wanted;
    }

    /// What is asked for by its name, is not left out again, and is not among those `found`.
    std::set<std::string> missing(const std::set<std::string>& found) const {
        std::set<std::string> names;
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            if (!is_pattern(parts_[i]) && !excludes(i) && want(parts_[i]) &&
                !found.contains(parts_[i]))
                names.insert(parts_[i]);
        }
        return names;
    }

  private:
    bool excludes(std::size_t i) const { return i > first_pattern_ && parts_[i].front() == '-'; }

    std::vector<std::string> parts_;
    std::size_t first_pattern_ = 0;
};

std::string joined(const std::set<std::string>& names) {
    std::string list;
    for (const std::string& name : names)
        list += (list.empty() ? "" : ",") + name;
    return list;
}

/// What was found, with an error beside it.
Response with_missing(const std::string& found, const std::set<std::string>& missing) {
    JsonTree answer;
    answer.set("error", JsonTree::text((missing.size() > 1 ? "aliases [" : "alias [") +
                                       joined(missing) + "] missing"));
    answer.set("status", JsonTree::leaf("404"));
    answer.merge(JsonTree::parse(found));
    return Response::json(answer.json(), 404);
}

Response get_alias(Node& node, const Request& request, const std::string&) {
    const AliasPatterns patterns(request.part("name"));
    std::set<std::string> found;
    std::string out;
    JsonWriter json(out);
    const std::vector<std::string> indices = indices_of(node, request, true, Reach::all);
    const bool all = request.part("index").empty();
    json.object([&] {
        for (const std::string& index : indices) {
            // A damaged index keeps nobody from the aliases of the others.
            const auto readable = all ? node.indices->readable(index) : nullptr;
            if (all && !readable) continue;
            const IndexMetadata metadata = all ? *readable : need_metadata(node, index);
            std::vector<std::pair<std::string, std::string>> aliases;
            for (const auto& alias : metadata.aliases) {
                if (!patterns.want(alias.first) || !sees_alias(request, index, alias.first))
                    continue;
                found.insert(alias.first);
                aliases.push_back(alias);
            }
            if (aliases.empty() && !patterns.empty()) continue;
            json.member_object(index, [&] {
                json.member_object("aliases", [&] {
                    for (const auto& [name, alias] : aliases)
                        json.member_raw(name, alias);
                });
            });
        }
    });
    const std::set<std::string> missing = patterns.missing(found);
    return missing.empty() ? Response::json(std::move(out)) : with_missing(out, missing);
}

Response put_alias(Node& node, const Request& request, const std::string& body) {
    const std::string alias = node.indices->resolve_names(request.part("name"));
    authorize_alias(request, alias);
    std::vector<AliasChange> changes;
    for (const std::string& index : indices_of(node, request, false))
        changes.push_back({AliasChange::Kind::add, index, alias, body});
    node.indices->change_aliases(changes);
    return acknowledged();
}

/// Appends the removal of those aliases that the patterns fit.
void remove_aliases(Node& node, const std::vector<std::string>& indices,
                    const std::vector<std::string>& patterns, bool must_exist,
                    std::vector<AliasChange>& changes) {
    const std::size_t before = changes.size();
    for (const std::string& index : indices) {
        for (const auto& [alias, content] : need_metadata(node, index).aliases) {
            const auto fits = [&, &name = alias](const std::string& pattern) {
                return fits_pattern(pattern, name);
            };
            if (std::any_of(patterns.begin(), patterns.end(), fits))
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
    std::vector<std::string> aliases = texts(options, "alias", "aliases");
    if (expressions.empty()) throw illegal_argument("One of [index] or [indices] is required");
    if (action.key() != "remove" && member(options, "must_exist") != nullptr)
        throw illegal_argument("[must_exist] is unsupported for [" + std::string(action.key()) +
                               "]");
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
    for (std::string& alias : aliases) {
        alias = node.indices->resolve_names(alias);
        authorize_alias(request, alias);
    }
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
    json.object([&] { write_shards(json, count); });
    return Response::json(std::move(out));
}

Response refresh(Node& node, const Request& request, const std::string&) {
    const std::vector<std::string> indices = open_indices_of(node, request);
    for (const std::string& index : indices)
        node.store->refresh(index);
    return shards_response(indices.size());
}

/// Whatever is written is on the disk, and nothing is cached that could be stale.
Response nothing_to_do(Node& node, const Request& request, const std::string&) {
    return shards_response(open_indices_of(node, request).size());
}

Response force_merge(Node& node, const Request& request, const std::string&) {
    const std::vector<std::string> indices = open_indices_of(node, request);
    for (const std::string& index : indices)
        node.store->optimize(index);
    return shards_response(indices.size());
}

Response open_index(Node& node, const Request& request, const std::string&) {
    for (const std::string& index : indices_of(node, request, true, Reach::closed))
        node.indices->set_closed(index, false);
    return Response::json(R"({"acknowledged":true,"shards_acknowledged":true})");
}

Response close_index(Node& node, const Request& request, const std::string&) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", true);
        json.member("shards_acknowledged", true);
        json.member_object("indices", [&] {
            for (const std::string& index : indices_of(node, request)) {
                node.indices->set_closed(index, true);
                json.member_raw(index, R"({"closed":true})");
            }
        });
    });
    return Response::json(std::move(out));
}

void add_aliases(IndexRoutes& routes) {
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

void add_maintenance(IndexRoutes& routes) {
    for (const std::string index : {"", "/{index}"}) {
        routes.add("GET POST", index + "/_refresh", refresh);
        routes.add("GET POST", index + "/_flush", nothing_to_do, {"force", "wait_if_ongoing"});
        routes.add("POST", index + "/_flush/synced", nothing_to_do);
        routes.add("POST", index + "/_cache/clear", nothing_to_do,
                   {"fielddata", "query", "request", "fields"});
        routes.add("POST", index + "/_forcemerge", force_merge,
                   {"max_num_segments", "only_expunge_deletes", "flush", "wait_for_completion"});
    }
    routes.add("POST", "/{index}/_open", open_index);
    routes.add("POST", "/{index}/_close", close_index);
}

}  // namespace

void add_index_routes(Router& router, Node& node) {
    IndexRoutes routes(router, node);
    routes.add("PUT", "/{index}", create_index);
    routes.add("GET", "/{index}", get_index, {"features"});
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
    add_template_routes(routes);
    add_index_stats_routes(routes);
}

}  // namespace penstock::serve
