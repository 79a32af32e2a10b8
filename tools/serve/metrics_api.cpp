// /metrics in Prometheus' text format, and /_health.
#include <string>
#include <string_view>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/await.h"
#include "engine/runtime/error.h"
#include "tools/serve/cluster_routes.h"
#include "tools/serve/http_server.h"
#include "tools/serve/process_stats.h"
#include "tools/serve/stats_json.h"

namespace penstock::serve {

namespace asio = boost::asio;
using inference::DeploymentStats;

namespace {

/// Writes samples; the lines that explain a metric stand before its first one.
class Exposition {
  public:
    struct Label {
        std::string_view name;
        std::string_view value;
    };

    void describe(std::string_view name, std::string_view type, std::string_view help) {
        out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
        out_.append(name).append(" ").append(type).append("\n");
    }
    void sample(std::string_view name, std::initializer_list<Label> labels, double value) {
        out_.append(name);
        for (const Label* label = labels.begin(); label != labels.end(); ++label) {
            out_.push_back(label == labels.begin() ? '{' : ',');
            out_.append(label->name).append("=\"");
            escape(label->value);
            out_.push_back('"');
        }
        if (labels.size() > 0) out_.push_back('}');
        out_.push_back(' ');
        document::append_double(value, out_);
        out_.push_back('\n');
    }
    /// A metric with one sample.
    void single(std::string_view name, std::string_view type, std::string_view help, double value) {
        describe(name, type, help);
        sample(name, {}, value);
    }
    std::string take() { return std::move(out_); }

  private:
    void escape(std::string_view text) {
        for (const char c : text) {
            if (c == '\n') {
                out_.append("\\n");
                continue;
            }
            if (c == '"' || c == '\\') out_.push_back('\\');
            out_.push_back(c);
        }
    }

    std::string out_;
};

constexpr double kNanosPerSecond = 1e9;
constexpr std::string_view kCounter = "counter";
constexpr std::string_view kGauge = "gauge";

struct CountOf {
    const char* name;
    std::string_view type;
    const char* help;
    double (*value)(std::uint64_t count, std::uint64_t nanos, std::uint64_t failed,
                    std::uint64_t current);
};

/// The four numbers of a pipeline or processor; names are completed by what they are of.
constexpr CountOf kCounts[] = {
    {"documents_total", kCounter, "Documents that went in",
     [](std::uint64_t c, std::uint64_t, std::uint64_t, std::uint64_t) {
         return static_cast<double>(c);
     }},
    {"failed_total", kCounter, "Documents that failed in it",
     [](std::uint64_t, std::uint64_t, std::uint64_t f, std::uint64_t) {
         return static_cast<double>(f);
     }},
    {"seconds_total", kCounter, "Time spent in it, estimated from a sample of documents",
     [](std::uint64_t, std::uint64_t n, std::uint64_t, std::uint64_t) {
         return static_cast<double>(n) / kNanosPerSecond;
     }},
    {"current", kGauge, "Documents in it now",
     [](std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t c) {
         return static_cast<double>(c);
     }},
};

template <class Counted>
double value_of(const CountOf& count, const Counted& of) {
    return count.value(of.count, of.time_in_nanos, of.failed, of.current);
}

void write_pipelines(Exposition& out, const std::vector<pipeline::PipelineStatistics>& pipelines) {
    const pipeline::PipelineStatistics total = ingest_total(pipelines);
    for (const CountOf& count : kCounts) {
        const std::string name = std::string("penstock_ingest_") + count.name;
        out.single(name, count.type, count.help, value_of(count, total));
    }
    for (const CountOf& count : kCounts) {
        const std::string name = std::string("penstock_pipeline_") + count.name;
        out.describe(name, count.type, count.help);
        for (const auto& pipeline : pipelines)
            out.sample(name, {{"pipeline", pipeline.id}}, value_of(count, pipeline));
    }
    for (const CountOf& count : kCounts) {
        const std::string name = std::string("penstock_processor_") + count.name;
        out.describe(name, count.type, count.help);
        for (const auto& pipeline : pipelines) {
            for (std::size_t i = 0; i < pipeline.processors.size(); ++i) {
                const auto& step = pipeline.processors[i];
                // Two processors of a pipeline may be alike in all but their place.
                out.sample(name,
                           {{"pipeline", pipeline.id},
                            {"processor", step.type},
                            {"tag", step.tag},
                            {"position", std::to_string(i)}},
                           value_of(count, step));
            }
        }
    }
}

struct DeploymentMetric {
    const char* name;
    std::string_view type;
    const char* help;
    double (*value)(const DeploymentStats&);
};

template <std::int64_t DeploymentStats::*Field>
double number(const DeploymentStats& stats) {
    return static_cast<double>(stats.*Field);
}

constexpr double kMillisPerSecond = 1000;

constexpr DeploymentMetric kDeploymentMetrics[] = {
    {"allocations", kGauge, "Allocations that take work",
     number<&DeploymentStats::allocation_count>},
    {"target_allocations", kGauge, "Allocations asked for",
     number<&DeploymentStats::target_allocation_count>},
    {"queue_capacity", kGauge, "Texts that may wait", number<&DeploymentStats::queue_capacity>},
    {"pending_requests", kGauge, "Texts queued or in the model",
     number<&DeploymentStats::number_of_pending_requests>},
    {"waiting_requests", kGauge, "Texts held back by callers until the queue has room",
     number<&DeploymentStats::number_of_waiting_requests>},
    {"inferences_total", kCounter, "Texts answered", number<&DeploymentStats::inference_count>},
    {"cache_hits_total", kCounter, "Texts answered from the cache",
     number<&DeploymentStats::inference_cache_hit_count>},
    {"cache_misses_total", kCounter, "Texts not found in the cache",
     number<&DeploymentStats::cache_miss_count>},
    {"cache_bytes", kGauge, "Memory of the cached results", number<&DeploymentStats::cache_bytes>},
    {"cache_limit_bytes", kGauge, "Memory that cached results may take",
     number<&DeploymentStats::cache_size>},
    {"errors_total", kCounter, "Texts that the model failed on",
     number<&DeploymentStats::error_count>},
    {"timeouts_total", kCounter, "Texts not answered in time",
     number<&DeploymentStats::timeout_count>},
    {"rejected_total", kCounter, "Texts refused by a full queue",
     number<&DeploymentStats::rejected_execution_count>},
    {"truncated_total", kCounter, "Texts whose end the model did not see",
     number<&DeploymentStats::truncated_count>},
    {"batches_total", kCounter, "Batches run", number<&DeploymentStats::batch_count>},
    {"tokens_total", kCounter, "Tokens run", number<&DeploymentStats::token_count>},
    {"inference_seconds", kGauge, "Average time of the model for one text, cache hits left out",
     [](const DeploymentStats& stats) {
         return stats.average_inference_time_ms_excluding_cache_hits.value_or(0) / kMillisPerSecond;
     }},
    {"queue_seconds", kGauge, "Average time of one text between queue and model",
     [](const DeploymentStats& stats) {
         return stats.average_queue_time_ms.value_or(0) / kMillisPerSecond;
     }},
};

void write_deployments(Exposition& out, const Node& node) {
    std::vector<DeploymentStats> all;
    for (const auto& deployment : node.deployments->list())
        all.push_back(deployment->stats());
    for (const DeploymentMetric& metric : kDeploymentMetrics) {
        const std::string name = std::string("penstock_deployment_") + metric.name;
        out.describe(name, metric.type, metric.help);
        for (const DeploymentStats& stats : all) {
            out.sample(name, {{"deployment", stats.deployment_id}, {"model", stats.model_id}},
                       metric.value(stats));
        }
    }
    constexpr const char* state = "penstock_deployment_state";
    out.describe(state, kGauge, "1 for the state that the deployment is in");
    for (const DeploymentStats& stats : all)
        out.sample(state, {{"deployment", stats.deployment_id}, {"state", stats.state}}, 1);
}

void write_process(Exposition& out, const Node& node) {
    const ProcessStats process = read_process_stats();
    const auto start = std::chrono::duration<double>(node.started.time_since_epoch()).count();
    out.describe("penstock_build_info", kGauge, "The version that runs");
    out.sample("penstock_build_info",
               {{"version", node.version}, {"compat", node.compat.name()}, {"node", node.name}}, 1);
    out.single("process_start_time_seconds", kGauge, "Start of the server since 1970", start);
    out.single("process_resident_memory_bytes", kGauge, "Resident memory",
               static_cast<double>(process.rss_bytes));
    out.single("process_virtual_memory_bytes", kGauge, "Virtual memory",
               static_cast<double>(process.virtual_bytes));
    out.single("process_cpu_seconds_total", kCounter, "Processor time, user and system",
               static_cast<double>(process.cpu_millis) / kMillisPerSecond);
    out.single("process_open_fds", kGauge, "Open files", static_cast<double>(process.open_files));
    out.single("process_max_fds", kGauge, "Files that may be open",
               static_cast<double>(process.max_files));
    out.single("process_threads", kGauge, "Threads", static_cast<double>(process.threads));
    out.single("penstock_request_memory_bytes", kGauge, "Memory of request bodies in flight",
               static_cast<double>(node.budget->used()));
    out.single("penstock_request_memory_limit_bytes", kGauge,
               "Memory that request bodies may take together",
               static_cast<double>(node.budget->limit()));
    out.single("penstock_request_memory_refusals_total", kCounter,
               "Times that there was not enough memory for a request's body",
               static_cast<double>(node.budget->refusals()));
    out.single("penstock_inference_free_processors", kGauge,
               "Threads that further allocations may have", node.deployments->free_processors());
}

void write_http(Exposition& out, const Node& node) {
    if (!node.http) return;
    const HttpStats stats = node.http();
    const auto number = [](auto count) { return static_cast<double>(count); };
    out.single("penstock_http_connections", kGauge, "Open connections",
               number(stats.open_connections));
    out.single("penstock_http_connections_total", kCounter, "Connections that were opened",
               number(stats.total_connections));
    out.single("penstock_http_connections_refused_total", kCounter,
               "Connections refused because too many were open", number(stats.refused_connections));
    out.single("penstock_http_requests_total", kCounter, "Requests answered",
               number(stats.requests));
    constexpr const char* errors = "penstock_http_errors_total";
    out.describe(errors, kCounter, "Requests answered with an error, by the class of its status");
    out.sample(errors, {{"status", "4xx"}}, number(stats.client_errors));
    out.sample(errors, {{"status", "5xx"}}, number(stats.server_errors));
    out.single("penstock_http_received_bytes_total", kCounter, "Bytes of requests, as they came",
               number(stats.received_bytes));
    out.single("penstock_http_sent_bytes_total", kCounter, "Bytes of responses, as they went",
               number(stats.sent_bytes));
}

void write_indices(Exposition& out, const Node& node) {
    const IndexTotals totals = index_totals(node);
    out.single("penstock_indices", kGauge, "Indices", static_cast<double>(totals.indices));
    out.single("penstock_indices_damaged", kGauge, "Indices whose files cannot be read",
               static_cast<double>(totals.damaged));
    out.single("penstock_index_documents", kGauge, "Documents in all indices",
               static_cast<double>(totals.docs));
    out.single("penstock_index_bytes", kGauge, "Files of all indices",
               static_cast<double>(totals.bytes));
}

std::string metrics_text(const Node& node) {
    Exposition out;
    write_process(out, node);
    write_http(out, node);
    write_indices(out, node);
    write_pipelines(out, node.pipelines->statistics());
    write_deployments(out, node);
    return out.take();
}

asio::awaitable<Response> get_metrics(Request&, const Node& node) {
    Response response = Response::text(
        co_await runtime::call_on(node.runtime->blocking(), [&] { return metrics_text(node); }));
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    co_return response;
}

// ---- health

/// Ready means that documents can be taken: the index store answers. Deployments that still load
/// their models answer 503 themselves, and do not take the others' traffic away.
asio::awaitable<Response> get_ready(Request&, const Node& node) {
    std::string problem;
    try {
        co_await runtime::call_on(node.runtime->blocking(), [&] { return node.store->names(); });
    } catch (const Error& error) {
        problem = error.what();
    }
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member("status", problem.empty() ? "ready" : "not_ready");
        if (!problem.empty()) json.member("reason", problem);
    });
    co_return Response::json(std::move(out), problem.empty() ? 200 : 503);
}

}  // namespace

void add_metrics_routes(Router& router, Node& node) {
    router.add("GET", "/metrics", [&node](Request& request) { return get_metrics(request, node); });
    const auto live = [](Request&) -> asio::awaitable<Response> {
        co_return Response::json("{\"status\":\"live\"}");
    };
    const auto ready = [&node](Request& request) { return get_ready(request, node); };
    router.add("GET", "/_health", live, {}, Access::anyone);
    router.add("GET", "/_health/live", live, {}, Access::anyone);
    router.add("GET", "/_health/ready", ready, {}, Access::anyone);
}

}  // namespace penstock::serve
