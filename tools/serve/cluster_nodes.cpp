// _nodes: this node's description, statistics, busy threads.
#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <initializer_list>
#include <map>
#include <set>

#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/cluster_routes.h"
#include "tools/serve/http_server.h"
#include "tools/serve/index_sections.h"
#include "tools/serve/index_state.h"
#include "tools/serve/metric_list.h"
#include "tools/serve/process_stats.h"
#include "tools/serve/stats_json.h"
#include "tools/serve/timestamp.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using pipeline::PipelineStatistics;

IndexTotals index_totals(const Node& node) {
    IndexTotals totals;
    for (const IndexState& state : index_states(node, node.store->names())) {
        ++totals.indices;
        totals.damaged += state.damaged ? 1 : 0;
        if (!state.damaged) totals.shards += static_cast<std::size_t>(state.metadata->shards);
        totals.docs += state.info.docs;
        totals.bytes += state.info.bytes;
    }
    return totals;
}

std::span<const std::string_view> node_roles() {
    static constexpr std::array<std::string_view, 4> roles{"data", "ingest", "master", "ml"};
    return roles;
}

void write_one_of_one(JsonWriter& json) {
    json.member("total", 1);
    json.member("successful", 1);
    json.member("failed", 0);
}

void write_processor_totals(JsonWriter& json, const std::vector<PipelineStatistics>& pipelines) {
    std::map<std::string, pipeline::StepStatistics> totals;
    for (const PipelineStatistics& pipeline : pipelines) {
        for (const pipeline::StepStatistics& step : pipeline.processors) {
            pipeline::StepStatistics& total = totals[step.type];
            total.count += step.count;
            total.failed += step.failed;
            total.current += step.current;
            total.time_in_nanos += step.time_in_nanos;
        }
    }
    json.member_object("processor_stats", [&] {
        for (const auto& [type, total] : totals) {
            json.member_object(type, [&json, &total = total] {
                json.member("count", total.count);
                json.member("failed", total.failed);
                json.member("current", total.current);
                json.member("time_in_millis", total.time_in_nanos / 1'000'000);
            });
        }
    });
}

namespace {

// ---- which node, which metrics

std::string host_of(const Node& node) {
    return node.publish_address.substr(0, node.publish_address.rfind(':'));
}

/// "_local", "_all", an id or name, "role:true", with wildcards; lists of these.
bool means_this_node(const Node& node, const std::string& filter) {
    if (filter.empty()) return true;
    const std::vector<std::string> names = split_list(filter);
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        if (name == "_all" || name == "_local" || name == "_master" || name == "_cluster_manager")
            return true;
        if (name.ends_with(":true")) {
            const auto roles = node_roles();
            return std::find(roles.begin(), roles.end(), name.substr(0, name.size() - 5)) !=
                   roles.end();
        }
        return matches_wildcard(name, node.id) || matches_wildcard(name, node.name) ||
               matches_wildcard(name, host_of(node));
    });
}

constexpr std::array<std::string_view, 11> kInfoMetrics{
    "settings", "os",      "process", "jvm",          "thread_pool", "transport",
    "http",     "plugins", "ingest",  "aggregations", "indices"};
constexpr std::array<std::string_view, 18> kStatsMetrics{"indices",
                                                         "os",
                                                         "process",
                                                         "jvm",
                                                         "thread_pool",
                                                         "fs",
                                                         "transport",
                                                         "http",
                                                         "breaker",
                                                         "script",
                                                         "discovery",
                                                         "ingest",
                                                         "adaptive_selection",
                                                         "script_cache",
                                                         "indexing_pressure",
                                                         "repositories",
                                                         "allocations",
                                                         "breakers"};

// ---- the frame of both answers

void write_identity(JsonWriter& json, const Node& node) {
    json.member("name", node.name);
    json.member("transport_address", node.publish_address);
    json.member("host", host_of(node));
    json.member("ip", host_of(node));
}

void write_roles(JsonWriter& json) {
    json.member_array("roles", [&] {
        for (const std::string_view role : node_roles())
            json.value(role);
    });
    json.member_object("attributes", [] {});
}

template <class Body>
std::string nodes_json(const Node& node, bool with_this, Body&& body) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_object("_nodes", [&] {
            json.member("total", with_this ? 1 : 0);
            json.member("successful", with_this ? 1 : 0);
            json.member("failed", 0);
        });
        json.member("cluster_name", node.cluster_name);
        json.member_object("nodes", [&] {
            if (with_this) json.member_object(node.id, [&] { body(json); });
        });
    });
    return out;
}

// ---- info

void write_info_settings(JsonWriter& json, const Node& node) {
    json.member_object("settings", [&] {
        json.member_object("cluster", [&] { json.member("name", node.cluster_name); });
        json.member_object("node", [&] { json.member("name", node.name); });
        json.member_object(
            "http", [&] { json.member_object("type", [&] { json.member("default", "asio"); }); });
    });
}

void write_info_machine(JsonWriter& json, const Node& node, const MetricList& metrics) {
    const ProcessStats process = read_process_stats();
    if (metrics.want("os")) {
        json.member_object("os", [&] {
            json.member("refresh_interval_in_millis", 1000);
            json.member("name", process.os_name);
            json.member("pretty_name", process.os_name + " " + process.os_version);
            json.member("arch", process.machine == "x86_64" ? "amd64" : process.machine);
            json.member("version", process.os_version);
            json.member("available_processors", process.processors);
            json.member("allocated_processors", node.deployments->allowed_processors());
        });
    }
    if (metrics.want("process")) {
        json.member_object("process", [&] {
            json.member("refresh_interval_in_millis", 1000);
            json.member("id", process.pid);
            json.member("mlockall", false);
        });
    }
    if (metrics.want("jvm")) {
        // There is no virtual machine: the members that clients read, of the process itself.
        json.member_object("jvm", [&] {
            json.member("pid", process.pid);
            json.member("version", node.version);
            json.member("vm_name", "penstock");
            json.member("vm_version", node.version);
            json.member("vm_vendor", "penstock");
            json.member("start_time_in_millis", milliseconds(node.started));
            json.member_object("mem", [&] {
                json.member("heap_init_in_bytes", 0);
                json.member("heap_max_in_bytes", process.total_memory_bytes);
            });
            json.member_array("gc_collectors", [] {});
        });
    }
}

void write_address(JsonWriter& json, const Node& node) {
    json.member_array("bound_address", [&] { json.value(node.publish_address); });
    json.member("publish_address", node.publish_address);
}

/// A module of Elasticsearch whose processors are here: clients and their tests look for it by
/// name.
struct Module {
    std::string_view name;
    std::string_view description;
    std::string_view class_name;  // behind the product's package
    std::string_view processor;   // one that there is when the module is
};
constexpr std::array<Module, 2> kModules{{
    {"ingest-common", "Ingest processors that need nothing but the document",
     "ingest.common.IngestCommonPlugin", "grok"},
    {"ingest-user-agent", "Ingest processor that takes user agents apart",
     "ingest.useragent.IngestUserAgentPlugin", "user_agent"},
}};

void write_module(JsonWriter& json, const Node& node, const Module& module) {
    const bool elasticsearch = node.compat.is_elasticsearch();
    const std::string product = elasticsearch ? "elasticsearch" : "opensearch";
    json.object([&] {
        json.member("name", module.name);
        json.member("version", node.compat.number());
        json.member(product + "_version", node.compat.number());
        json.member("java_version", elasticsearch ? "17" : "11");
        json.member("description", module.description);
        json.member("classname", "org." + product + "." + std::string(module.class_name));
        if (!elasticsearch) json.member("custom_foldername", "");
        json.member_array("extended_plugins", [] {});
        json.member("has_native_controller", false);
        if (!elasticsearch) return;
        json.member("licensed", false);
        json.member("is_official", true);
    });
}

void write_info(JsonWriter& json, const Node& node, const MetricList& metrics) {
    constexpr std::int64_t largest_body = 100 * 1024 * 1024;
    write_identity(json, node);
    json.member("version", node.compat.number());
    json.member("build_flavor", "default");
    json.member("build_type", "deb");
    json.member("build_hash", "penstock-" + node.version);
    write_roles(json);
    if (metrics.want("settings")) write_info_settings(json, node);
    write_info_machine(json, node, metrics);
    if (metrics.want("thread_pool")) json.member_object("thread_pool", [] {});
    if (metrics.want("transport")) {
        json.member_object("transport", [&] {
            write_address(json, node);
            json.member_object("profiles", [] {});
        });
    }
    if (metrics.want("http")) {
        json.member_object("http", [&] {
            write_address(json, node);
            json.member("max_content_length_in_bytes", largest_body);
        });
    }
    if (metrics.want("plugins")) {
        json.member_array("plugins", [] {});
        json.member_array("modules", [&] {
            for (const Module& module : kModules) {
                if (node.catalog->find(module.processor) != nullptr)
                    write_module(json, node, module);
            }
        });
    }
    if (metrics.want("ingest")) {
        json.member_object("ingest", [&] {
            json.member_array("processors", [&] {
                for (const auto& [name, spec] : node.catalog->all())
                    json.object([&, &type = name] { json.member("type", type); });
            });
        });
    }
    if (metrics.want("aggregations")) json.member_object("aggregations", [] {});
}

asio::awaitable<Response> get_info(Request& request, const Node& node) {
    std::string filter = request.part("node");
    std::string list = request.part("metric");
    // One part alone may be either.
    const std::vector<std::string> names = split_list(filter);
    const auto is_metric = [](const std::string& name) {
        return std::find(kInfoMetrics.begin(), kInfoMetrics.end(), name) != kInfoMetrics.end();
    };
    if (list.empty() && !names.empty() && std::all_of(names.begin(), names.end(), is_metric))
        list.swap(filter);
    const MetricList metrics(request, list, kInfoMetrics);
    const bool here = means_this_node(node, filter);
    co_return Response::json(
        nodes_json(node, here, [&](JsonWriter& json) { write_info(json, node, metrics); }));
}

// ---- statistics

void write_stats_os(JsonWriter& json, const ProcessStats& process, std::int64_t now) {
    json.member_object("os", [&] {
        json.member("timestamp", now);
        json.member_object("cpu", [&] {
            const double share = process.load_average[0] * 100 / process.processors;
            json.member("percent", static_cast<int>(std::min(100.0, share)));
            json.member_object("load_average", [&] {
                json.member("1m", process.load_average[0]);
                json.member("5m", process.load_average[1]);
                json.member("15m", process.load_average[2]);
            });
        });
        json.member_object("mem", [&] {
            json.member("total_in_bytes", process.total_memory_bytes);
            json.member("free_in_bytes", process.available_memory_bytes);
            json.member("used_in_bytes",
                        process.total_memory_bytes - process.available_memory_bytes);
            json.member("free_percent", 100 - process.memory_percent());
            json.member("used_percent", process.memory_percent());
        });
        json.member_object("swap", [&] {
            json.member("total_in_bytes", process.total_swap_bytes);
            json.member("free_in_bytes", process.free_swap_bytes);
            json.member("used_in_bytes", process.total_swap_bytes - process.free_swap_bytes);
        });
    });
}

void write_stats_process(JsonWriter& json, const Node& node, const ProcessStats& process,
                         std::int64_t now) {
    const std::int64_t uptime = std::max<std::int64_t>(
        1, milliseconds(std::chrono::system_clock::now()) - milliseconds(node.started));
    json.member_object("process", [&] {
        json.member("timestamp", now);
        json.member("open_file_descriptors", process.open_files);
        json.member("max_file_descriptors", process.max_files);
        json.member_object("cpu", [&] {
            // Since the start: there is no earlier sample to compare with.
            json.member("percent",
                        std::min<std::int64_t>(100, static_cast<std::int64_t>(process.cpu_millis) *
                                                        100 / (uptime * process.processors)));
            json.member("total_in_millis", process.cpu_millis);
        });
        json.member_object("mem",
                           [&] { json.member("total_virtual_in_bytes", process.virtual_bytes); });
    });
}

void write_stats_jvm(JsonWriter& json, const Node& node, const ProcessStats& process,
                     std::int64_t now) {
    // No virtual machine, but the members that clients read, of the process.
    json.member_object("jvm", [&] {
        json.member("timestamp", now);
        json.member("uptime_in_millis",
                    milliseconds(std::chrono::system_clock::now()) - milliseconds(node.started));
        json.member_object("mem", [&] {
            json.member("heap_used_in_bytes", process.rss_bytes);
            json.member("heap_used_percent",
                        process.total_memory_bytes == 0
                            ? 0
                            : process.rss_bytes * 100 / process.total_memory_bytes);
            json.member("heap_committed_in_bytes", process.rss_bytes);
            json.member("heap_max_in_bytes", process.total_memory_bytes);
        });
        json.member_object("threads", [&] {
            json.member("count", process.threads);
            json.member("peak_count", process.threads);
        });
        json.member_object("gc", [&] { json.member_object("collectors", [] {}); });
    });
}

void write_stats_fs(JsonWriter& json, const Node& node, std::int64_t now) {
    const DiskStats disk = read_disk_stats(node.data);
    const auto write_sizes = [&] {
        json.member("total_in_bytes", disk.total_bytes);
        json.member("free_in_bytes", disk.free_bytes);
        json.member("available_in_bytes", disk.available_bytes);
    };
    json.member_object("fs", [&] {
        json.member("timestamp", now);
        json.member_object("total", write_sizes);
        json.member_array("data", [&] {
            json.object([&] {
                json.member("path", node.data.native());
                write_sizes();
            });
        });
    });
}

/// `request`: its path may choose sections, and its level tells of each index.
void write_stats_indices(JsonWriter& json, const Node& node, const Request& request) {
    const MetricList metrics(request, request.part("part"), index_metrics());
    const bool file_sizes = request.query.flag("include_segment_file_sizes");
    const std::vector<IndexState> states = index_states(node, node.store->names());
    IndexNumbers sum;
    for (const IndexState& state : states) {
        if (!state.damaged) sum.add(IndexNumbers::of(node, state));
    }
    json.member_object("indices", [&] {
        write_index_sections(json, sum, metrics, file_sizes);
        if (request.query.text("level", "node") == "node") return;
        json.member_object("indices", [&] {
            for (const IndexState& state : states) {
                if (state.damaged) continue;
                json.member_object(state.name, [&] {
                    write_index_sections(json, IndexNumbers::of(node, state), metrics, file_sizes);
                });
            }
        });
    });
}

void write_stats_breakers(JsonWriter& json, const Node& node) {
    json.member_object("breakers", [&] {
        json.member_object("in_flight_requests", [&] {
            json.member("limit_size_in_bytes", node.budget->limit());
            json.member("limit_size", std::to_string(node.budget->limit()) + "b");
            json.member("estimated_size_in_bytes", node.budget->used());
            json.member("estimated_size", std::to_string(node.budget->used()) + "b");
            json.member("overhead", 1.0);
            json.member("tripped", node.budget->refusals());
        });
    });
}

/// A cluster of one node publishes its state to nobody.
void write_stats_discovery(JsonWriter& json) {
    const auto nothing = [&](std::string_view section,
                             std::initializer_list<std::string_view> members) {
        json.member_object(section, [&] {
            for (const std::string_view name : members)
                json.member(name, 0);
        });
    };
    json.member_object("discovery", [&] {
        nothing("cluster_state_queue", {"total", "pending", "committed"});
        nothing("published_cluster_states",
                {"full_states", "incompatible_diffs", "compatible_diffs"});
    });
}

void write_stats_http(JsonWriter& json, const Node& node) {
    const HttpStats stats = node.http ? node.http() : HttpStats();
    json.member_object("http", [&] {
        json.member("current_open", stats.open_connections);
        json.member("total_opened", stats.total_connections);
        // What the reference counts by route.
        json.member("refused", stats.refused_connections);
        json.member("requests", stats.requests);
        json.member("client_errors", stats.client_errors);
        json.member("server_errors", stats.server_errors);
        json.member("received_in_bytes", stats.received_bytes);
        json.member("sent_in_bytes", stats.sent_bytes);
    });
}

void write_stats(JsonWriter& json, const Node& node, const Request& request,
                 const MetricList& metrics) {
    const std::int64_t now = milliseconds(node.now());
    json.member("timestamp", now);
    write_identity(json, node);
    write_roles(json);
    const ProcessStats process = read_process_stats();
    if (metrics.want("indices")) write_stats_indices(json, node, request);
    if (metrics.want("os")) write_stats_os(json, process, now);
    if (metrics.want("process")) write_stats_process(json, node, process, now);
    if (metrics.want("jvm")) write_stats_jvm(json, node, process, now);
    if (metrics.want("thread_pool")) json.member_object("thread_pool", [] {});
    if (metrics.want("fs")) write_stats_fs(json, node, now);
    if (metrics.want("http")) write_stats_http(json, node);
    if (metrics.want("breaker") || metrics.want("breakers")) write_stats_breakers(json, node);
    if (metrics.want("discovery")) write_stats_discovery(json);
    if (metrics.want("ingest")) {
        json.key("ingest");
        write_ingest(json, node.pipelines->statistics());
    }
}

asio::awaitable<Response> get_stats(Request& request, const Node& node) {
    const MetricList metrics(request, request.part("metric"), kStatsMetrics);
    const bool here = means_this_node(node, request.part("node"));
    co_return Response::json(co_await runtime::call_on(node.runtime->blocking(), [&] {
        return nodes_json(node, here,
                          [&](JsonWriter& json) { write_stats(json, node, request, metrics); });
    }));
}

// ---- hot threads

struct HotThreads {
    std::chrono::milliseconds interval{500};
    std::size_t threads = 3;
    bool ignore_idle = true;
};

HotThreads read_hot_threads(const Request& request) {
    HotThreads options;
    options.interval = request.query.time("interval", options.interval);
    const std::int64_t threads = request.query.integer("threads", 3);
    options.ignore_idle = request.query.flag("ignore_idle_threads", true);
    const std::string type = request.query.text("type", "cpu");
    const std::string sort = request.query.text("sort", "cpu");
    constexpr std::chrono::seconds longest(60);
    if (type != "cpu" || sort != "cpu")
        throw illegal_argument("[type] and [sort] can only be cpu: waiting is not measured");
    if (request.query.integer("snapshots", 10) < 1 || threads < 1 || options.interval.count() < 1 ||
        options.interval > longest)
        throw illegal_argument(
            "[snapshots] and [threads] must be positive, [interval] between 1ms and 60s");
    options.threads = static_cast<std::size_t>(threads);
    return options;
}

/// The processor time of each thread between two readings, the busiest first.
std::vector<ThreadTime> busiest(const std::vector<ThreadTime>& before,
                                std::vector<ThreadTime> after) {
    std::map<std::int64_t, std::int64_t> earlier;
    for (const ThreadTime& thread : before)
        earlier.emplace(thread.id, thread.cpu_nanos);
    for (ThreadTime& thread : after) {
        const auto found = earlier.find(thread.id);
        if (found != earlier.end()) thread.cpu_nanos -= found->second;
    }
    std::stable_sort(after.begin(), after.end(), [](const ThreadTime& a, const ThreadTime& b) {
        return a.cpu_nanos > b.cpu_nanos;
    });
    return after;
}

std::string hot_threads_text(const Node& node, const HotThreads& options,
                             const std::vector<ThreadTime>& threads,
                             std::chrono::nanoseconds measured) {
    std::string out = "::: {" + node.name + "}{" + node.id + "}{" + node.publish_address + "}\n";
    out += "   Hot threads at " + timestamp(node.now()) +
           ", interval=" + std::to_string(options.interval.count()) +
           "ms, busiestThreads=" + std::to_string(options.threads) +
           ", ignoreIdleThreads=" + (options.ignore_idle ? "true" : "false") + ":\n";
    std::size_t shown = 0;
    for (const ThreadTime& thread : threads) {
        if (shown == options.threads || (options.ignore_idle && thread.cpu_nanos == 0)) break;
        ++shown;
        std::array<char, 160> line{};
        std::snprintf(line.data(), line.size(),
                      "\n   %.1f%% (%.1fms out of %lldms) cpu usage by thread '%s' (tid %lld)\n",
                      100.0 * static_cast<double>(thread.cpu_nanos) /
                          static_cast<double>(std::max<std::int64_t>(1, measured.count())),
                      static_cast<double>(thread.cpu_nanos) / 1e6,
                      static_cast<long long>(options.interval.count()), thread.name.c_str(),
                      static_cast<long long>(thread.id));
        out += line.data();
    }
    return out;
}

asio::awaitable<Response> get_hot_threads(Request& request, const Node& node) {
    const HotThreads options = read_hot_threads(request);
    if (!means_this_node(node, request.part("node"))) co_return Response::text("");
    const auto started = std::chrono::steady_clock::now();
    const std::vector<ThreadTime> before = read_thread_times();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(options.interval);
    co_await timer.async_wait(asio::use_awaitable);
    const std::vector<ThreadTime> threads = busiest(before, read_thread_times());
    const auto measured = std::chrono::steady_clock::now() - started;
    co_return Response::text(hot_threads_text(node, options, threads, measured));
}

}  // namespace

void add_node_routes(Router& router, Node& node) {
    const auto info = [&node](Request& request) { return get_info(request, node); };
    const std::vector<std::string> info_parameters{"flat_settings", "timeout"};
    for (const char* pattern : {"/_nodes", "/_nodes/{node}", "/_nodes/{node}/info",
                                "/_nodes/{node}/{metric}", "/_nodes/{node}/info/{metric}"})
        router.add("GET", pattern, info, info_parameters);

    const auto stats = [&node](Request& request) { return get_stats(request, node); };
    const std::vector<std::string> stats_parameters{"completion_fields",
                                                    "fielddata_fields",
                                                    "fields",
                                                    "groups",
                                                    "include_segment_file_sizes",
                                                    "include_unloaded_segments",
                                                    "level",
                                                    "timeout",
                                                    "types"};
    for (const char* pattern :
         {"/_nodes/stats", "/_nodes/stats/{metric}", "/_nodes/stats/{metric}/{part}",
          "/_nodes/{node}/stats", "/_nodes/{node}/stats/{metric}",
          "/_nodes/{node}/stats/{metric}/{part}"})
        router.add("GET", pattern, stats, stats_parameters);

    const auto hot = [&node](Request& request) { return get_hot_threads(request, node); };
    const std::vector<std::string> hot_parameters{
        "ignore_idle_threads", "interval", "snapshots", "sort", "threads", "timeout", "type"};
    for (const char* pattern : {"/_nodes/hot_threads", "/_nodes/{node}/hot_threads"})
        router.add("GET", pattern, hot, hot_parameters);
}

}  // namespace penstock::serve
