// GET /: who answers.
#include "engine/document/json_writer.h"
#include "tools/serve/node.h"

namespace penstock::serve {

namespace {

std::string banner(const Node& node) {
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member("name", node.name);
        json.member("cluster_name", node.cluster_name);
        json.member("cluster_uuid", node.cluster_id);
        json.member_object("version", [&] {
            if (!node.compat.is_elasticsearch()) json.member("distribution", "opensearch");
            json.member("number", node.compat.number());
            if (node.compat.is_elasticsearch()) json.member("build_flavor", "default");
            json.member("build_type", "deb");
            json.member("build_hash", "penstock-" + node.version);
            json.member("build_date", "2026-01-01T00:00:00.000Z");
            json.member("build_snapshot", false);
            json.member("lucene_version", node.compat.major >= 9 ? "10.3.0" : "9.12.0");
            const bool es = node.compat.is_elasticsearch();
            json.member("minimum_wire_compatibility_version", es ? "7.17.0" : "2.19.0");
            json.member("minimum_index_compatibility_version", es ? "7.0.0" : "2.0.0");
        });
        json.member("tagline", node.compat.is_elasticsearch()
                                   ? "You Know, for Search"
                                   : "The OpenSearch Project: https://opensearch.org/");
    });
    return out;
}

}  // namespace

void add_root_routes(Router& router, Node& node) {
    router.add("GET", "/", [&node](Request&) -> boost::asio::awaitable<Response> {
        co_return Response::json(banner(node));
    });
}

}  // namespace penstock::serve
