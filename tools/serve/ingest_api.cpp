// _ingest: pipelines, and trial runs of them.
#include <boost/asio/awaitable.hpp>
#include <charconv>

#include "engine/document/json_writer.h"
#include "engine/pipeline/simulate.h"
#include "engine/runtime/await.h"
#include "processors/geoip_databases.h"
#include "processors/grok_patterns.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/node.h"
#include "tools/serve/response_format.h"
#include "tools/serve/timestamp.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using document::Value;

constexpr std::string_view kAcknowledged = R"({"acknowledged":true})";
/// What simulate calls a pipeline that came with the request.
constexpr const char* kSimulated = "_simulate_pipeline";

ApiError missing_property(const std::string& name) {
    return ApiError(400, "parse_exception", "[" + name + "] required property is missing")
        .with_text("property_name", name);
}

// ---- stored pipelines

awaitable<Response> put_pipeline(Node& node, Request& request) {
    const std::string text = needed_body(co_await request.body->read_all());
    std::optional<std::int64_t> if_version;
    if (request.query.has("if_version")) if_version = request.query.integer("if_version", 0);
    co_await runtime::call_on(node.runtime->blocking(), [&] {
        node.pipelines->put(request.part("id"), text, if_version);
        return true;
    });
    co_return Response::json(std::string(kAcknowledged));
}

awaitable<Response> get_pipeline(Node& node, Request& request) {
    std::vector<std::string> patterns = split_list(request.part("id"));
    const bool all = patterns.empty() || (patterns.size() == 1 && patterns[0] == "*");
    if (patterns.empty()) patterns = {"*"};
    const auto found = node.pipelines->match(patterns);
    const bool names_alone = request.query.flag("summary");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        for (const StoredPipeline& pipeline : found)
            json.member_raw(pipeline.id, names_alone ? "{}" : pipeline.config);
    });
    co_return Response::json(std::move(out), found.empty() && !all ? 404 : 200);
}

awaitable<Response> delete_pipeline(Node& node, Request& request) {
    const std::string& id = request.part("id");
    const auto found = node.pipelines->match(split_list(id));
    if (found.empty() && id != "*") throw resource_not_found("pipeline [" + id + "] is missing");
    co_await runtime::call_on(node.runtime->blocking(), [&] {
        for (const StoredPipeline& pipeline : found)
            node.pipelines->remove(pipeline.id);
        return true;
    });
    co_return Response::json(std::string(kAcknowledged));
}

// ---- simulate

/// The texts of the documents, checked as Elasticsearch checks them.
std::vector<std::string> documents_of(const JsonBody& body) {
    const Value* docs = body.find("docs");
    if (docs == nullptr) throw missing_property("docs");
    if (!docs->is_array()) {
        throw ApiError(400, "parse_exception",
                       "[docs] property isn't a list, but of type [" +
                           std::string(document::java_type_name(*docs)) + "]")
            .with_text("property_name", "docs");
    }
    if (docs->as_array().size() == 0)
        throw illegal_argument("must specify at least one document in [docs]");
    std::vector<std::string> texts;
    for (const Value& one : docs->as_array()) {
        if (!one.is_object())
            throw illegal_argument("malformed [docs] section, should include an inner object");
        const Value* source = member(one.as_object(), "_source");
        if (source == nullptr) throw missing_property("_source");
        texts.push_back(json_text(one));
    }
    return texts;
}

CompiledPipeline pipeline_to_simulate(Node& node, const Request& request, const JsonBody& body) {
    const std::string& id = request.part("id");
    if (!id.empty()) {
        CompiledPipeline found = node.pipelines->find(id);
        if (found.pipeline == nullptr)
            throw illegal_argument("pipeline [" + id + "] does not exist");
        return found;
    }
    const Value* inline_pipeline = body.find("pipeline");
    if (inline_pipeline == nullptr) throw missing_property("pipeline");
    return node.pipelines->compile(json_text(*inline_pipeline), kSimulated);
}

awaitable<Response> simulate(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    if (body.empty())
        throw ApiError(400, "parse_exception", "request body or source parameter is required");
    const CompiledPipeline pipeline = co_await runtime::call_on(
        node.runtime->blocking(), [&] { return pipeline_to_simulate(node, request, body); });
    pipeline::SimulateOptions options;
    options.verbose = request.query.flag("verbose");
    options.timestamp = timestamp(node.now());
    std::vector<std::string> documents = documents_of(body);
    const auto results = co_await pipeline::simulate(pipeline.set, *pipeline.pipeline,
                                                     std::move(documents), options);
    co_return Response::json(pipeline::simulate_response(results, options.verbose));
}

/// The patterns that `grok` knows by name. They are sorted with and without `s`.
awaitable<Response> grok_patterns(Node&, Request& request) {
    const std::string set = request.query.text("ecs_compatibility", "disabled");
    if (set != "disabled" && set != "v1") {
        throw illegal_argument("unsupported ECS compatibility mode [" + set +
                               "]; known are [disabled] and [v1]");
    }
    request.query.flag("s");
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member_object("patterns", [&] {
            for (const auto& [name, pattern] : processors::grok_patterns(
                     set == "v1" ? processors::GrokSet::v1 : processors::GrokSet::disabled))
                json.member(name, pattern);
        });
    });
    co_return Response::json(std::move(out));
}

/// No database is downloaded here: those there are were there at the start.
awaitable<Response> geoip_statistics(Node& node, Request&) {
    const std::vector<processors::GeoIpDatabase> none;
    const auto& databases = node.geoip ? node.geoip->list() : none;
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_object("stats", [&] {
            for (const char* name :
                 {"successful_downloads", "failed_downloads", "total_download_time"})
                json.member(name, 0);
            json.member("databases_count", databases.size());
            json.member("skipped_updates", 0);
            json.member("expired_databases", 0);
        });
        json.member_object("nodes", [&] {
            json.member_object(node.id, [&] {
                json.member_array("databases", [&] {
                    for (const processors::GeoIpDatabase& database : databases)
                        json.object([&] { json.member("name", database.name); });
                });
                json.member_array("files_in_temp", [] {});
            });
        });
    });
    co_return Response::json(std::move(out));
}

/// As Elasticsearch lists databases that somebody has put into its configuration directory.
awaitable<Response> geoip_databases(Node& node, Request& request) {
    const std::string& pattern = request.part("id");
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_array("databases", [&] {
            if (!node.geoip) return;
            for (const processors::GeoIpDatabase& database : node.geoip->list()) {
                const std::string id = "_local_" + database.name;
                if (!pattern.empty() && !matches_wildcard(pattern, id)) continue;
                json.object([&] {
                    json.member("id", id);
                    json.member("version", 1);
                    json.member("modified_date_millis", database.build_epoch * 1000);
                    json.member_object("database", [&] {
                        json.member("name", database.name);
                        json.member_object("local", [&] { json.member("type", database.type); });
                    });
                });
            }
        });
    });
    co_return Response::json(std::move(out));
}

}  // namespace

void add_ingest_routes(Router& router, Node& node) {
    const auto with = [&node](auto function) {
        return [&node, function](Request& request) { return function(node, request); };
    };
    const std::vector<std::string> timeouts{"timeout", "master_timeout", "cluster_manager_timeout"};
    const auto and_timeouts = [&](std::vector<std::string> names) {
        names.insert(names.end(), timeouts.begin(), timeouts.end());
        return names;
    };
    router.add("PUT", "/_ingest/pipeline/{id}", with(put_pipeline), and_timeouts({"if_version"}));
    router.add("GET", "/_ingest/pipeline/{id}", with(get_pipeline), and_timeouts({"summary"}));
    router.add("GET", "/_ingest/pipeline", with(get_pipeline), and_timeouts({"summary"}));
    router.add("DELETE", "/_ingest/pipeline/{id}", with(delete_pipeline), timeouts);
    router.add("GET", "/_ingest/processor/grok", with(grok_patterns), {"ecs_compatibility", "s"});
    router.add("GET", "/_ingest/geoip/stats", with(geoip_statistics));
    for (const char* path : {"/_ingest/geoip/database", "/_ingest/geoip/database/{id}",
                             "/_ingest/ip_location/database", "/_ingest/ip_location/database/{id}"})
        router.add("GET", path, with(geoip_databases), {"master_timeout"});
    router.add("GET POST", "/_ingest/pipeline/{id}/_simulate", with(simulate), {"verbose"});
    router.add("GET POST", "/_ingest/pipeline/_simulate", with(simulate), {"verbose"});
}

}  // namespace penstock::serve
