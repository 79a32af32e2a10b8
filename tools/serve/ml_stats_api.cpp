// Statistics of trained models and their deployments.
#include <algorithm>

#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"
#include "tools/serve/stats_json.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using inference::Deployment;
using inference::DeploymentStats;

namespace {

using ModelsPtr = std::shared_ptr<Models>;

/// One entry of the answer: a model with one of its deployments, or without any.
struct Entry {
    const ModelView* model = nullptr;
    std::shared_ptr<Deployment> deployment;
};

std::string_view routing_state(const DeploymentStats& stats) {
    return stats.state == "fully_allocated" ? "started" : std::string_view(stats.state);
}

/// Elasticsearch's memory estimate: the model twice (while it is loaded), and a constant for the
/// process. Here no process of its own runs a model.
std::uint64_t required_memory(const ModelView& model) {
    return 2 * model.files.model_size_bytes;
}

void write_optional(JsonWriter& json, std::string_view name, const std::optional<double>& value) {
    if (value) json.member(name, *value);
}

void write_node(JsonWriter& json, const Node& node, const DeploymentStats& stats) {
    json.object([&] {
        json.member_object("node", [&] {
            json.member_object(node.id, [&] {
                json.member("name", node.name);
                json.member("ephemeral_id", node.id);
                json.member("transport_address", node.publish_address);
                json.member_object("attributes", [] {});
                json.member_array("roles", [&] {
                    for (const char* role : {"data", "ingest", "master", "ml"})
                        json.value(role);
                });
            });
        });
        json.member_object("routing_state", [&] {
            json.member("routing_state", routing_state(stats));
            if (!stats.reason.empty()) json.member("reason", stats.reason);
        });
        json.member("inference_count", stats.inference_count);
        write_optional(json, "average_inference_time_ms", stats.average_inference_time_ms);
        write_optional(json, "average_inference_time_ms_last_minute",
                       stats.average_inference_time_ms_last_minute);
        write_optional(json, "average_inference_time_ms_excluding_cache_hits",
                       stats.average_inference_time_ms_excluding_cache_hits);
        json.member("inference_cache_hit_count", stats.inference_cache_hit_count);
        json.member("inference_cache_hit_count_last_minute",
                    stats.inference_cache_hit_count_last_minute);
        if (stats.last_access) json.member("last_access", *stats.last_access);
        json.member("number_of_pending_requests", stats.number_of_pending_requests);
        json.member("start_time", stats.start_time);
        json.member("threads_per_allocation", stats.threads_per_allocation);
        json.member("number_of_allocations", stats.allocation_count);
        json.member("throughput_last_minute", stats.throughput_last_minute);
        json.member("peak_throughput_per_minute", stats.peak_throughput_per_minute);
        json.member("error_count", stats.error_count);
        json.member("rejected_execution_count", stats.rejected_execution_count);
        json.member("timeout_count", stats.timeout_count);
    });
}

void write_deployment(JsonWriter& json, const Node& node, const inference::Deployment& deployment,
                      const DeploymentStats& stats) {
    json.member("deployment_id", stats.deployment_id);
    json.member("model_id", stats.model_id);
    json.member("threads_per_allocation", stats.threads_per_allocation);
    json.member("number_of_allocations", stats.target_allocation_count);
    json.member("queue_capacity", stats.queue_capacity);
    json.member("cache_size", std::to_string(stats.cache_size) + "b");
    json.member("state", routing_state(stats));
    if (!stats.reason.empty()) json.member("reason", stats.reason);
    json.member_object("allocation_status", [&] {
        json.member("allocation_count", stats.allocation_count);
        json.member("target_allocation_count", stats.target_allocation_count);
        json.member("state", stats.state);
    });
    write_adaptive_allocations(json, deployment.config().adaptive_allocations);
    json.member("priority", stats.priority);
    json.member("start_time", stats.start_time);
    json.member("inference_count", stats.inference_count);
    json.member("error_count", stats.error_count);
    json.member("rejected_execution_count", stats.rejected_execution_count);
    json.member("timeout_count", stats.timeout_count);
    json.member("peak_throughput_per_minute", stats.peak_throughput_per_minute);
    json.member_array("nodes", [&] { write_node(json, node, stats); });
}

std::vector<pipeline::PipelineStatistics> only(const std::vector<pipeline::PipelineStatistics>& all,
                                               const std::vector<std::string>& ids) {
    std::vector<pipeline::PipelineStatistics> some;
    for (const auto& each : all) {
        if (std::find(ids.begin(), ids.end(), each.id) != ids.end()) some.push_back(each);
    }
    return some;
}

/// Pipelines that use this entry's deployment, or, without one, name the model.
std::vector<std::string> pipelines_of_entry(const Node& node, const ModelUses& uses,
                                            const Entry& entry) {
    if (entry.deployment) return pipelines_of(node, uses, *entry.deployment);
    std::set<std::string> names(entry.model->aliases.begin(), entry.model->aliases.end());
    names.insert(entry.model->id());
    return pipelines_with(uses, names);
}

void write_entry(JsonWriter& json, const Node& node, const ModelUses& uses,
                 const std::vector<pipeline::PipelineStatistics>& pipelines, const Entry& entry) {
    const ModelView& model = *entry.model;
    const std::vector<std::string> used_by = pipelines_of_entry(node, uses, entry);
    json.object([&] {
        json.member("model_id", model.id());
        json.member_object("model_size_stats", [&] {
            json.member("model_size_bytes", model.files.model_size_bytes);
            json.member("required_native_memory_bytes", required_memory(model));
        });
        json.member("pipeline_count", used_by.size());
        if (!used_by.empty()) {
            json.key("ingest");
            write_ingest(json, only(pipelines, used_by));
        }
        if (!entry.deployment) return;
        const DeploymentStats stats = entry.deployment->stats();
        json.member_object("inference_stats", [&] {
            json.member("failure_count", stats.error_count);
            json.member("inference_count", stats.inference_count);
            json.member("cache_miss_count", stats.cache_miss_count);
            json.member("missing_all_fields_count", 0);
            json.member("timestamp", stats.last_access.value_or(stats.start_time));
        });
        json.member_object("deployment_stats",
                           [&] { write_deployment(json, node, *entry.deployment, stats); });
    });
}

std::vector<Entry> entries_of(const Node& node, const std::vector<ModelView>& models) {
    const auto deployments = node.deployments->list();
    std::vector<Entry> entries;
    for (const ModelView& model : models) {
        const std::size_t before = entries.size();
        for (const auto& deployment : deployments) {
            if (deployment->config().model_id == model.id())
                entries.push_back({&model, deployment});
        }
        if (entries.size() == before) entries.push_back({&model, nullptr});
    }
    return entries;
}

/// Deployment ids name their models too.
std::string with_models_of_deployments(const Node& node, const std::string& expression) {
    std::string all;
    for (const std::string& name : split_list(expression)) {
        const auto deployment = node.deployments->find(name);
        all += (all.empty() ? "" : ",") + (deployment ? deployment->config().model_id : name);
    }
    return all;
}

struct StatsQuery {
    std::string expression;
    bool allow_no_match = true;
    std::int64_t from = 0;
    std::int64_t size = 100;
};

std::string stats_json(const Models& models, const StatsQuery& query) {
    const Node& node = models.node();
    const std::vector<ModelView> found =
        models.expand(with_models_of_deployments(node, query.expression), query.allow_no_match);
    const std::vector<Entry> entries = entries_of(node, found);
    const ModelUses uses = model_uses(node);
    const auto pipelines = node.pipelines->statistics();
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("count", entries.size());
        json.member_array("trained_model_stats", [&] {
            const auto from = std::min<std::size_t>(query.from, entries.size());
            const auto end = std::min<std::size_t>(from + query.size, entries.size());
            for (std::size_t i = from; i < end; ++i)
                write_entry(json, node, uses, pipelines, entries[i]);
        });
    });
    return out;
}

asio::awaitable<Response> get_stats(Request& request, ModelsPtr models) {
    StatsQuery query;
    query.expression = request.part("id");
    query.allow_no_match = request.query.flag("allow_no_match", true);
    query.from = request.query.integer("from", query.from);
    query.size = request.query.integer("size", query.size);
    if (query.from < 0) throw illegal_argument("Parameter [from] cannot be < 0");
    if (query.size < 0) throw illegal_argument("Parameter [size] cannot be < 0");
    co_return Response::json(
        co_await blocking(models->node(), [&] { return stats_json(*models, query); }));
}

}  // namespace

void add_model_stats_routes(Router& router, const ModelsPtr& models) {
    const auto handle = [models](Request& request) { return get_stats(request, models); };
    const std::vector<std::string> parameters{"allow_no_match", "from", "size"};
    router.add("GET", "/_ml/trained_models/_stats", handle, parameters);
    router.add("GET", "/_ml/trained_models/{id}/_stats", handle, parameters);
}

}  // namespace penstock::serve
