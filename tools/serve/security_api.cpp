// _security: who one is, and API keys.
#include <algorithm>

#include "engine/document/json_writer.h"
#include "engine/pipeline/diagnostic.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authentication.h"
#include "tools/serve/json_body.h"
#include "tools/serve/node.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using document::Value;

/// Elasticsearch's words, with the name that may have been meant.
[[noreturn]] void unknown_field(std::string_view name, const std::vector<std::string_view>& known) {
    const std::string_view near = pipeline::nearest(name, known);
    throw ApiError(400, "x_content_parse_exception",
                   "unknown field [" + std::string(name) + "]" +
                       (near.empty() ? "" : " did you mean [" + std::string(near) + "]?"));
}

/// A member that is not known could be one that would have taken something away.
void check_members(const JsonBody& body, const std::vector<std::string_view>& known) {
    for (const document::Member& member : body.root()) {
        if (std::find(known.begin(), known.end(), member.key()) == known.end())
            unknown_field(member.key(), known);
    }
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
        json.member_raw("metadata", key.metadata);
        json.member_raw("role_descriptors", key.permissions.role_descriptors());
    });
}

std::string creator(const Request& request) {
    return request.principal == nullptr ? "_anonymous" : request.principal->name;
}

/// What `owner` asks for: of a user the keys that it has made, of a key itself.
bool owns(const Request& request, const ApiKeyInfo& key) {
    const bool is_key = request.principal != nullptr && request.principal->is_key;
    return is_key ? key.id == request.principal->name : key.creator == creator(request);
}

std::optional<std::chrono::milliseconds> lifetime_of(const JsonBody& body) {
    const Value* expiration = body.find("expiration");
    if (expiration == nullptr) return std::nullopt;
    const auto lifetime =
        expiration->is_string() ? parse_time(expiration->as_string()) : std::nullopt;
    if (!lifetime || lifetime->count() <= 0)
        throw illegal_argument("[expiration] must be a time such as 30d");
    return lifetime;
}

std::string metadata_of(const JsonBody& body) {
    const Value* metadata = body.find("metadata");
    if (metadata == nullptr) return "{}";
    if (!metadata->is_object()) throw parsing_error("[metadata] must be an object");
    for (const document::Member& member : metadata->as_object()) {
        if (member.key().starts_with('_'))
            throw action_validation({"API key metadata keys may not start with [_]"});
    }
    return json_text(*metadata);
}

ApiKeyRequest key_request(const JsonBody& body) {
    check_members(body, {"name", "expiration", "role_descriptors", "metadata"});
    const Value* name = body.find("name");
    if (name == nullptr || !name->is_string() || name->as_string().empty())
        throw action_validation({"api key name is required"});
    ApiKeyRequest wanted;
    wanted.name = name->as_string();
    wanted.lifetime = lifetime_of(body);
    wanted.metadata = metadata_of(body);
    // Not `find`: a null is no list of roles, and without roles a key may do everything.
    const Value* roles = body.root().get("role_descriptors");
    wanted.permissions =
        roles == nullptr ? Permissions::everything() : Permissions::of_roles(*roles);
    return wanted;
}

/// Only who may do everything comes here: there is nothing of the creator's that a key could pass.
awaitable<Response> create_key(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    ApiKeyRequest wanted = key_request(body);
    wanted.creator = creator(request);
    const NewApiKey key = co_await runtime::call_on(
        node.runtime->blocking(), [&] { return node.credentials->create_key(std::move(wanted)); });
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
    const std::string id = request.query.text("id");
    const std::string name = request.query.text("name", "*");
    const bool own = request.query.flag("owner");
    const bool active = request.query.flag("active_only");
    const auto keys = co_await runtime::call_on(node.runtime->blocking(),
                                                [&] { return node.credentials->keys(); });
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("api_keys", [&] {
            for (const ApiKeyInfo& key : keys) {
                if ((id.empty() || key.id == id) && matches_wildcard(name, key.name) &&
                    (!own || owns(request, key)) && (!active || !key.expired()))
                    write_key(key, json);
            }
        });
    });
    co_return Response::json(std::move(out));
}

/// Which keys to remove.
struct Removal {
    std::vector<std::string> ids;
    std::string name;
    bool own = false;

    bool takes(const Request& request, const ApiKeyInfo& key) const {
        return (ids.empty() || std::find(ids.begin(), ids.end(), key.id) != ids.end()) &&
               (name.empty() || key.name == name) && (!own || owns(request, key));
    }
};

std::string text_of(const Value& value, std::string_view name) {
    if (!value.is_string() || value.as_string().empty())
        throw parsing_error("[" + std::string(name) + "] must be a string that is not empty");
    return std::string(value.as_string());
}

Removal removal_of(const JsonBody& body) {
    check_members(body, {"ids", "id", "name", "owner"});
    Removal removal;
    if (const Value* list = body.find("ids")) {
        if (!list->is_array()) throw parsing_error("[ids] must be a list of strings");
        for (const Value& one : list->as_array())
            removal.ids.push_back(text_of(one, "ids"));
    }
    if (const Value* one = body.find("id")) removal.ids.push_back(text_of(*one, "id"));
    if (const Value* name = body.find("name")) removal.name = text_of(*name, "name");
    if (const Value* owner = body.find("owner")) {
        if (!owner->is_boolean()) throw parsing_error("[owner] must be a boolean");
        removal.own = owner->as_boolean();
    }
    if (removal.ids.empty() && removal.name.empty() && !removal.own)
        throw action_validation(
            {"one of [api key id(s), api key name, username, realm name] must "
             "be specified if [owner] flag is false"});
    return removal;
}

awaitable<Response> delete_keys(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    const Removal removal = removal_of(body);
    std::vector<std::string> gone;
    co_await runtime::call_on(node.runtime->blocking(), [&] {
        for (const ApiKeyInfo& key : node.credentials->keys()) {
            if (removal.takes(request, key) && node.credentials->remove_key(key.id))
                gone.push_back(key.id);
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
            if (request.principal == nullptr || request.principal->permissions.allows_everything())
                json.value("superuser");
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
    router.add("GET", "/_security/api_key", with(get_keys), {"id", "name", "owner", "active_only"});
    router.add("DELETE", "/_security/api_key", with(delete_keys));
    router.add("GET", "/_security/_authenticate", with(who_am_i));
}

}  // namespace penstock::serve
