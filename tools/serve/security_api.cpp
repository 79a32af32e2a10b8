// _security: who one is, and API keys.
#include <algorithm>
#include <array>

#include "engine/document/json_writer.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authentication.h"
#include "tools/serve/json_body.h"
#include "tools/serve/node.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using document::Value;

/// Elasticsearch's privileges that change nothing.
bool only_reads(std::string_view privilege) {
    static constexpr std::array<std::string_view, 5> reading{
        "read", "monitor", "view_index_metadata", "read_cross_cluster", "none"};
    return std::find(reading.begin(), reading.end(), privilege) != reading.end();
}

void take_indices(const Value& entries, Permissions& permissions, bool& writes) {
    if (!entries.is_array()) throw parsing_error("[indices] must be a list of objects");
    for (const Value& entry : entries.as_array()) {
        const Value* names = entry.is_object() ? member(entry.as_object(), "names") : nullptr;
        const Value* privileges =
            entry.is_object() ? member(entry.as_object(), "privileges") : nullptr;
        if (names == nullptr || privileges == nullptr || !privileges->is_array())
            throw parsing_error("[indices] needs [names] and [privileges]");
        if (names->is_string()) permissions.indices.emplace_back(names->as_string());
        if (names->is_array()) {
            for (const Value& name : names->as_array())
                permissions.indices.emplace_back(name.as_string());
        }
        for (const Value& privilege : privileges->as_array())
            writes = writes || !only_reads(privilege.as_string());
    }
}

/// All roles together. A key has at most one set of names and one of reading and writing, so roles
/// that differ in both cannot be granted as they are.
Permissions permissions_of(const Value* roles) {
    Permissions permissions;
    if (roles == nullptr || !roles->is_object() || roles->as_object().size() == 0)
        return permissions;
    if (roles->as_object().size() > 1)
        throw illegal_argument("[role_descriptors] with more than one role are not supported");
    bool writes = false;
    const auto& role = *roles->as_object().begin();
    if (!role.value.is_object()) throw parsing_error("[role_descriptors] must hold objects");
    for (const auto& part : role.value.as_object()) {
        if (part.key() == "indices" || part.key() == "index") {
            take_indices(part.value, permissions, writes);
        } else if (part.key() == "cluster" && part.value.is_array()) {
            for (const Value& privilege : part.value.as_array())
                writes = writes || !only_reads(privilege.as_string());
        } else if (part.key() != "metadata" && part.key() != "transient_metadata") {
            throw illegal_argument("[role_descriptors] with [" + std::string(part.key()) +
                                   "] are not supported");
        }
    }
    permissions.read_only = !writes;
    return permissions;
}

void write_key(const ApiKeyInfo& key, JsonWriter& json) {
    json.object([&] {
        json.member("id", key.id);
        json.member("name", key.name);
        json.member("type", "rest");
        json.member("creation", key.created_millis);
        if (key.expires_millis != 0) json.member("expiration", key.expires_millis);
        json.member("invalidated", false);
        json.member("username", key.creator);
        json.member("realm", "file");
        json.member_object("role_descriptors", [&] {
            if (!key.permissions.limited() && !key.permissions.read_only) return;
            json.member_object("limited", [&] {
                json.member_array("indices", [&] {
                    json.object([&] {
                        json.member_array("names", [&] {
                            if (!key.permissions.limited()) json.value("*");
                            for (const std::string& name : key.permissions.indices)
                                json.value(name);
                        });
                        json.member_array("privileges", [&] {
                            json.value(key.permissions.read_only ? "read" : "all");
                        });
                    });
                });
            });
        });
    });
}

std::string creator(const Request& request) {
    return request.principal == nullptr ? "_anonymous" : request.principal->name;
}

awaitable<Response> create_key(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    const Value* name = body.find("name");
    if (name == nullptr || !name->is_string() || name->as_string().empty())
        throw action_validation({"api key name is required"});
    std::optional<std::chrono::milliseconds> lifetime;
    if (const Value* expiration = body.find("expiration")) {
        lifetime = expiration->is_string() ? parse_time(expiration->as_string()) : std::nullopt;
        if (!lifetime || lifetime->count() <= 0)
            throw illegal_argument("[expiration] must be a time such as 30d");
    }
    Permissions permissions = permissions_of(body.find("role_descriptors"));
    if (request.principal != nullptr) {
        const Permissions& own = request.principal->permissions;
        if (!permissions.limited()) permissions.indices = own.indices;
        permissions.read_only = permissions.read_only || own.read_only;
    }
    const NewApiKey key = co_await runtime::call_on(node.runtime->blocking(), [&] {
        return node.credentials->create_key(std::string(name->as_string()), creator(request),
                                            permissions, lifetime);
    });
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("id", key.info.id);
        json.member("name", key.info.name);
        if (key.info.expires_millis != 0) json.member("expiration", key.info.expires_millis);
        json.member("api_key", key.api_key);
        json.member("encoded", key.encoded);
    });
    co_return Response::json(std::move(out));
}

awaitable<Response> get_keys(Node& node, Request& request) {
    const auto keys = co_await runtime::call_on(node.runtime->blocking(),
                                                [&] { return node.credentials->keys(); });
    const std::string id = request.query.text("id");
    const std::string name = request.query.text("name", "*");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("api_keys", [&] {
            for (const ApiKeyInfo& key : keys) {
                if ((id.empty() || key.id == id) && matches_wildcard(name, key.name))
                    write_key(key, json);
            }
        });
    });
    co_return Response::json(std::move(out));
}

awaitable<Response> delete_keys(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    std::vector<std::string> ids;
    if (const Value* list = body.find("ids"); list != nullptr && list->is_array()) {
        for (const Value& one : list->as_array())
            ids.emplace_back(one.as_string());
    }
    if (const Value* one = body.find("id")) ids.emplace_back(one->as_string());
    if (ids.empty())
        throw action_validation(
            {"one of [api key id(s), api key name, username, realm name] must "
             "be specified if [owner] flag is false"});
    std::vector<std::string> gone;
    co_await runtime::call_on(node.runtime->blocking(), [&] {
        for (const std::string& id : ids) {
            if (node.credentials->remove_key(id)) gone.push_back(id);
        }
        return true;
    });
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("invalidated_api_keys", [&] {
            for (const std::string& id : gone)
                json.value(id);
        });
        json.member_array("previously_invalidated_api_keys", [] {});
        json.member("error_count", 0);
    });
    co_return Response::json(std::move(out), gone.empty() ? 404 : 200);
}

awaitable<Response> who_am_i(Node& /*node*/, Request& request) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("username", creator(request));
        json.member_array("roles", [&] {
            const bool all =
                request.principal == nullptr || (!request.principal->permissions.limited() &&
                                                 !request.principal->permissions.read_only);
            if (all) json.value("superuser");
        });
        json.member("enabled", true);
        json.member("authentication_type", request.principal == nullptr ? "anonymous"
                                           : request.principal->is_key  ? "api_key"
                                                                        : "realm");
    });
    co_return Response::json(std::move(out));
}

}  // namespace

void add_security_routes(Router& router, Node& node) {
    const auto with = [&node](auto function) {
        return [&node, function](Request& request) { return function(node, request); };
    };
    router.add("POST PUT", "/_security/api_key", with(create_key), {"refresh"});
    router.add("GET", "/_security/api_key", with(get_keys),
               {"id", "name", "owner", "username", "realm_name", "active_only"});
    router.add("DELETE", "/_security/api_key", with(delete_keys));
    router.add("GET", "/_security/_authenticate", with(who_am_i));
}

}  // namespace penstock::serve
