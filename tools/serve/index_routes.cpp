#include "tools/serve/index_routes.h"

#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/json_body.h"
#include "tools/serve/response_format.h"

namespace penstock::serve {

using document::JsonWriter;

namespace {

boost::asio::awaitable<Response> run(Node& node, Request& request, IndexWork work) {
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

}  // namespace

void IndexRoutes::add(std::string_view methods, std::string_view pattern, IndexWork work,
                      std::vector<std::string> parameters) {
    Node& node = node_;
    router_.add(
        methods, pattern, [&node, work](Request& request) { return run(node, request, work); },
        with_common(std::move(parameters)));
}

Response acknowledged() {
    return Response::json(R"({"acknowledged":true})");
}

Response with_warnings(Response response, const Node& node, const JsonTree& body) {
    const JsonTree* inner = body.find("template");
    const JsonTree* mappings = (inner == nullptr ? body : *inner).find("mappings");
    if (mappings == nullptr) return response;
    for (const std::string& text : ignored_options(normalise_mappings(*mappings)))
        add_warning(response, node.compat, text);
    return response;
}

std::vector<std::string> indices_of(Node& node, const Request& request, bool none_allowed,
                                    Reach reach) {
    return node.indices->expand(
        request.part("index"),
        within_rights(request, ExpandOptions::from(request.query, none_allowed, reach)));
}

std::vector<std::string> open_indices_of(Node& node, const Request& request) {
    return node.indices->expand(
        request.part("index"), within_rights(request, ExpandOptions::for_documents(request.query)));
}

IndexMetadata need_metadata(Node& node, const std::string& index) {
    auto metadata = node.indices->metadata(index);
    if (!metadata) throw index_not_found(index);
    return *metadata;
}

void write_shards(JsonWriter& json, std::size_t count, std::size_t failed) {
    json.member_object("_shards", [&] {
        json.member("total", count);
        json.member("successful", count - failed);
        json.member("failed", failed);
    });
}

}  // namespace penstock::serve
