// _cat: tables for people.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>

#include "engine/job/task_manager.h"
#include "engine/runtime/await.h"
#include "tools/serve/authorization.h"
#include "tools/serve/cluster_routes.h"
#include "tools/serve/index_state.h"
#include "tools/serve/json_body.h"
#include "tools/serve/ml_models.h"
#include "tools/serve/process_stats.h"
#include "tools/serve/text_table.h"
#include "tools/serve/timestamp.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::Value;

namespace {

/// "10:20:30", as all tables show a time of day (UTC).
std::string time_of_day(std::chrono::system_clock::time_point time) {
    const std::string whole = timestamp(time);
    return whole.substr(11, 8);
}

TextCell epoch(std::chrono::system_clock::time_point time) {
    return TextCell::number(milliseconds(time) / 1000);
}

std::string host_of(const Node& node) {
    return node.publish_address.substr(0, node.publish_address.rfind(':'));
}

// ---- indices

std::vector<TextColumn> index_columns() {
    return {
        {"health", {"h"}, "current health status"},
        {"status", {"s"}, "open/close status"},
        {"index", {"i", "idx"}, "index name"},
        {"uuid", {"id", "uuid"}, "index uuid"},
        {"pri", {"p", "shards.primary", "shardsPrimary"}, "number of primary shards", true},
        {"rep", {"r", "shards.replica", "shardsReplica"}, "number of replica shards", true},
        {"docs.count", {"dc", "docsCount"}, "available docs", true},
        {"docs.deleted", {"dd", "docsDeleted"}, "deleted docs", true},
        {"creation.date", {"cd"}, "index creation date (millisecond value)", true, false},
        {"creation.date.string", {"cds"}, "index creation date (as string)", true, false},
        {"store.size", {"ss", "storeSize"}, "store size of primaries & replicas", true},
        {"pri.store.size", {}, "store size of primaries", true},
        {"dataset.size", {}, "total size of dataset", true},
    };
}

/// Of an index whose files cannot be read.
std::vector<TextCell> damaged_row(const std::string& name) {
    std::vector<TextCell> row{"red", "open", name};
    row.resize(index_columns().size(), "");
    return row;
}

std::vector<TextCell> index_row(const IndexState& state) {
    if (state.damaged) return damaged_row(state.name);
    const io::IndexInfo& info = state.info;
    const IndexMetadata& metadata = *state.metadata;
    const std::chrono::system_clock::time_point created{
        std::chrono::milliseconds(metadata.created_millis)};
    return {"green",
            metadata.closed ? "close" : "open",
            state.name,
            metadata.uuid,
            TextCell::number(metadata.shards),
            TextCell::number(0),
            TextCell::number(static_cast<std::int64_t>(info.docs)),
            TextCell::number(0),
            TextCell::number(metadata.created_millis),
            timestamp(created),
            TextCell::bytes(info.bytes),
            TextCell::bytes(info.bytes),
            TextCell::bytes(info.bytes)};
}

/// Of the parameter `health`; an index is green or red. Throws ApiError 400.
bool wanted(const Request& request, const IndexState& state) {
    const std::string health = request.query.text("health", state.damaged ? "red" : "green");
    if (health != "green" && health != "yellow" && health != "red")
        throw illegal_argument("unknown cluster health status [" + health + "]");
    return health == (state.damaged ? "red" : "green");
}

TextTable index_table(const Node& node, const Request& request) {
    TextTable table(index_columns());
    wanted(request, {});  // also where there is no index
    const ExpandOptions options = ExpandOptions::from(request.query, true, Reach::all);
    for (const IndexState& state : index_states(
             node, node.indices->expand(request.part("index"), within_rights(request, options)))) {
        if (wanted(request, state)) table.add(index_row(state));
    }
    return table;
}

// ---- health, count

/// "66.7%"
std::string percent_text(double percent) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%.1f%%", percent);
    return text.data();
}

TextTable health_table(const Node& node, const Request& request) {
    const bool with_time = request.query.flag("ts", true);
    TextTable table({
        {"epoch", {"t", "time"}, "seconds since 1970-01-01 00:00:00", false, with_time},
        {"timestamp", {"ts", "hms", "hhmmss"}, "time in HH:MM:SS", false, with_time},
        {"cluster", {"cl"}, "cluster name"},
        {"status", {"st"}, "health status"},
        {"node.total", {"nt", "nodeTotal"}, "total number of nodes", true},
        {"node.data", {"nd", "nodeData"}, "number of nodes that can store data", true},
        {"shards", {"t", "sh", "shards.total", "shardsTotal"}, "total number of shards", true},
        {"pri", {"p", "shards.primary", "shardsPrimary"}, "number of primary shards", true},
        {"relo", {"r", "shards.relocating"}, "number of relocating nodes", true},
        {"init", {"i", "shards.initializing"}, "number of initializing nodes", true},
        {"unassign", {"u", "shards.unassigned"}, "number of unassigned shards", true},
        {"unassign.pri", {"up"}, "number of unassigned primary shards", true},
        {"pending_tasks", {"pt", "pendingTasks"}, "number of pending tasks", true},
        {"max_task_wait_time", {"mtwt"}, "wait time of longest task pending", true},
        {"active_shards_percent", {"asp"}, "active number of shards in percent", true},
    });
    const IndexTotals totals = index_totals(node);
    const auto damaged = static_cast<std::int64_t>(totals.damaged);
    const auto shards = static_cast<std::int64_t>(totals.shards);
    std::vector<TextCell> row{epoch(node.now()), time_of_day(node.now()), node.cluster_name,
                              damaged > 0 ? "red" : "green"};
    for (const std::int64_t number :
         {std::int64_t{1}, std::int64_t{1}, shards, shards, std::int64_t{0}, std::int64_t{0},
          damaged, damaged, std::int64_t{0}})
        row.push_back(TextCell::number(number));
    row.emplace_back("-");
    row.emplace_back(percent_text(active_percent(totals.shards + totals.damaged, totals.damaged)));
    table.add(std::move(row));
    return table;
}

TextTable count_table(const Node& node, const Request& request) {
    TextTable table({
        {"epoch", {"t", "time"}, "seconds since 1970-01-01 00:00:00"},
        {"timestamp", {"ts", "hms", "hhmmss"}, "time in HH:MM:SS"},
        {"count", {"dc", "docs.count", "docsCount"}, "the document count"},
    });
    std::uint64_t count = 0;
    const ExpandOptions options = ExpandOptions::for_documents(request.query);
    for (const IndexState& state : index_states(
             node, node.indices->expand(request.part("index"), within_rights(request, options))))
        count += state.info.docs;
    table.add({epoch(node.now()), time_of_day(node.now()),
               TextCell::number(static_cast<std::int64_t>(count))});
    return table;
}

// ---- aliases

/// One member of an alias's object, or "-".
std::string alias_member(const JsonBody& alias, std::string_view name) {
    const Value* value = alias.find(name);
    if (value == nullptr) return "-";
    if (value->is_string()) return std::string(value->as_string());
    return name == "filter" ? "*" : json_text(*value);
}

TextTable alias_table(const Node& node, const Request& request) {
    TextTable table({
        {"alias", {"a"}, "alias name"},
        {"index", {"i", "idx"}, "index alias points to"},
        {"filter", {"f", "fi"}, "filter"},
        {"routing.index", {"ri", "routingIndex"}, "index routing"},
        {"routing.search", {"rs", "routingSearch"}, "search routing"},
        {"is_write_index", {"w", "isWriteIndex"}, "write index"},
    });
    std::vector<std::string> patterns = split_list(request.part("name"));
    if (patterns.empty()) patterns = {"*"};
    for (const std::string& index : node.indices->expand(request.part("index"))) {
        const auto metadata = node.indices->readable(index);
        if (!metadata) continue;
        for (const auto& [alias, json] : metadata->aliases) {
            const auto fits = [&, &name = alias](const std::string& pattern) {
                return matches_wildcard(pattern, name);
            };
            if (std::none_of(patterns.begin(), patterns.end(), fits) ||
                !sees_alias(request, index, alias))
                continue;
            JsonBody body;
            body.parse(json);
            table.add({alias, index, alias_member(body, "filter"),
                       alias_member(body, "index_routing"), alias_member(body, "search_routing"),
                       alias_member(body, "is_write_index")});
        }
    }
    return table;
}

// ---- nodes

TextTable node_table(const Node& node, const Request& request) {
    TextTable table({
        {"id", {"id", "nodeId"}, "unique node id", false, false},
        {"pid", {"p"}, "process id", false, false},
        {"ip", {"i"}, "ip address"},
        {"http_address", {"http"}, "bound http address", false, false},
        {"version", {"v"}, "version", false, false},
        {"disk.total", {"dt", "diskTotal"}, "total disk space", true, false},
        {"disk.avail", {"d", "da", "disk", "diskAvail"}, "available disk space", true, false},
        {"heap.percent", {"hp", "heapPercent"}, "used memory of the process ratio", true},
        {"heap.current", {"hc", "heapCurrent"}, "used memory of the process", true, false},
        {"heap.max", {"hm", "heapMax"}, "memory of the machine", true, false},
        {"ram.percent", {"rp", "ramPercent"}, "used machine memory ratio", true},
        {"cpu", {"cpu"}, "recent cpu usage", true},
        {"load_1m", {"l"}, "1m load avg", true},
        {"load_5m", {"l"}, "5m load avg", true},
        {"load_15m", {"l"}, "15m load avg", true},
        {"uptime", {"u"}, "node uptime", true, false},
        {"file_desc.current", {"fdc"}, "used file descriptors", true, false},
        {"node.role", {"r", "role", "nodeRole"}, "m:master eligible node, d:data node, ..."},
        {"master", {"m"}, "*:current master"},
        {"name", {"n"}, "node name"},
    });
    const ProcessStats process = read_process_stats();
    const DiskStats disk = read_disk_stats(node.data);
    const auto uptime = milliseconds(std::chrono::system_clock::now()) - milliseconds(node.started);
    const bool full_id = request.query.flag("full_id");
    const double cpu = process.load_average[0] * 100 / process.processors;
    const std::uint64_t heap =
        process.rss_bytes * 100 / std::max<std::uint64_t>(1, process.total_memory_bytes);
    table.add({full_id ? node.id : node.id.substr(0, 4),
               TextCell::number(process.pid),
               host_of(node),
               node.publish_address,
               node.compat.number(),
               TextCell::bytes(disk.total_bytes),
               TextCell::bytes(disk.available_bytes),
               TextCell::number(static_cast<std::int64_t>(heap)),
               TextCell::bytes(process.rss_bytes),
               TextCell::bytes(process.total_memory_bytes),
               TextCell::number(std::int64_t{process.memory_percent()}),
               TextCell::number(static_cast<std::int64_t>(std::min(100.0, cpu))),
               TextCell::number(process.load_average[0], 2),
               TextCell::number(process.load_average[1], 2),
               TextCell::number(process.load_average[2], 2),
               TextCell::milliseconds(uptime),
               TextCell::number(static_cast<std::int64_t>(process.open_files)),
               "dilm",
               "*",
               node.name});
    return table;
}

/// Nothing of a plugin's shows here: what plugins add are processors and backends, which
/// _nodes/ingest and the deployments list.
TextTable plugin_table(const Node&, const Request& request) {
    request.query.flag("include_bootstrap");
    return TextTable({{"id", {}, "unique node id", false, false},
                      {"name", {"n"}, "node name"},
                      {"component", {"c"}, "component"},
                      {"version", {"v"}, "component version"},
                      {"description", {"d"}, "plugin details", false, false}});
}

// ---- tasks

bool wants_task(const Request& request, const job::TaskInfo& task) {
    const std::vector<std::string> patterns = request.query.list("actions");
    return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](auto& pattern) {
               return matches_wildcard(pattern, task.spec.action);
           });
}

TextTable task_table(const Node& node, const Request& request) {
    const bool detailed = request.query.flag("detailed");
    TextTable table({
        {"id", {"id"}, "id of the task with the node", false, false},
        {"action", {"ac"}, "task action"},
        {"task_id", {"ti"}, "unique task id"},
        {"parent_task_id", {"pti"}, "parent task id"},
        {"type", {"ty"}, "task type"},
        {"start_time", {"start"}, "start time in ms"},
        {"timestamp", {"ts", "hms", "hhmmss"}, "start time in HH:MM:SS"},
        {"running_time_ns", {"time"}, "running time ns", true, false},
        {"running_time", {"time"}, "running time", true},
        {"node_id", {"ni"}, "unique node id", false, false},
        {"ip", {"i"}, "ip address"},
        {"node", {"n"}, "node name"},
        {"description", {"desc"}, "task action", false, detailed},
    });
    if (!node.tasks) return table;
    for (const auto& running : node.tasks->running()) {
        const job::TaskInfo task = running->info(false);
        if (!wants_task(request, task)) continue;
        const std::string number = std::to_string(task.number);
        const auto millis =
            std::chrono::duration_cast<std::chrono::milliseconds>(task.running).count();
        table.add({number, task.spec.action, node.id + ":" + number,
                   task.spec.parent == 0 ? "-" : node.id + ":" + std::to_string(task.spec.parent),
                   "transport", TextCell::number(milliseconds(task.start)), time_of_day(task.start),
                   TextCell::number(task.running.count()), TextCell::milliseconds(millis), node.id,
                   host_of(node), node.name, task.spec.description});
    }
    return table;
}

// ---- trained models

/// What all pipelines of a model have done together.
pipeline::PipelineStatistics work_of(const std::vector<pipeline::PipelineStatistics>& all,
                                     const std::vector<std::string>& ids) {
    pipeline::PipelineStatistics sum;
    for (const auto& each : all) {
        if (std::find(ids.begin(), ids.end(), each.id) == ids.end()) continue;
        sum.count += each.count;
        sum.time_in_nanos += each.time_in_nanos;
        sum.current += each.current;
        sum.failed += each.failed;
    }
    return sum;
}

std::vector<TextColumn> model_columns() {
    return {
        {"id", {}, "the trained model id"},
        {"created_by", {"c", "createdBy"}, "who created the model", true, false},
        {"heap_size", {"hs", "modelHeapSize"}, "the estimated memory of the model", true},
        {"operations", {"o", "modelOperations"}, "the estimated number of operations", true},
        {"license", {"l"}, "the license level of the model", true, false},
        {"create_time", {"ct"}, "the time the model was created", true},
        {"version", {"v"}, "the version of the server", true, false},
        {"description", {"d"}, "the model description", true, false},
        {"type", {"t"}, "the model type"},
        {"ingest.pipelines", {"ip", "ingestPipelines"}, "number of pipelines that use it", true},
        {"ingest.count", {"ic", "ingestCount"}, "documents processed by them", true, false},
        {"ingest.time", {"it", "ingestTime"}, "time spent in them", true, false},
        {"ingest.current", {"icurr", "ingestCurrent"}, "documents in them now", true, false},
        {"ingest.failed", {"if", "ingestFailed"}, "documents that failed in them", true, false},
    };
}

TextTable model_table(Models& models, const Request& request) {
    const Node& node = models.node();
    TextTable table(model_columns());
    const std::vector<ModelView> found =
        models.expand(request.part("id"), request.query.flag("allow_no_match", true));
    const ModelUses uses = model_uses(node);
    const auto statistics = node.pipelines->statistics();
    const auto from = std::max<std::int64_t>(0, request.query.integer("from", 0));
    const auto size = std::max<std::int64_t>(0, request.query.integer("size", 100));
    for (std::int64_t i = from; i < std::min<std::int64_t>(from + size, std::ssize(found)); ++i) {
        const ModelView& model = found[static_cast<std::size_t>(i)];
        std::set<std::string> names(model.aliases.begin(), model.aliases.end());
        names.insert(model.id());
        for (const auto& deployment : node.deployments->list()) {
            if (deployment->config().model_id == model.id()) names.insert(deployment->id());
        }
        const std::vector<std::string> pipelines = pipelines_with(uses, names);
        const pipeline::PipelineStatistics work = work_of(statistics, pipelines);
        const std::chrono::system_clock::time_point created{
            std::chrono::milliseconds(model.description.create_time)};
        table.add(
            {model.id(), model.description.created_by,
             TextCell::bytes(model.files.model_size_bytes), TextCell::number(0), "basic",
             timestamp(created), node.compat.number(), model.description.description, "pytorch",
             TextCell::number(std::ssize(pipelines)),
             TextCell::number(static_cast<std::int64_t>(work.count)),
             TextCell::milliseconds(static_cast<std::int64_t>(work.time_in_nanos / 1'000'000)),
             TextCell::number(static_cast<std::int64_t>(work.current)),
             TextCell::number(static_cast<std::int64_t>(work.failed))});
    }
    return table;
}

// ---- routes

struct Table {
    std::vector<std::string> patterns;
    TextTable (*make)(const Node&, const Request&);
    std::vector<std::string> parameters;
};

const std::vector<Table>& tables() {
    static const std::vector<Table> all{
        {{"/_cat/aliases", "/_cat/aliases/{name}"}, alias_table, {}},
        {{"/_cat/count", "/_cat/count/{index}"}, count_table, {}},
        {{"/_cat/health"}, health_table, {"ts"}},
        {{"/_cat/indices", "/_cat/indices/{index}"},
         index_table,
         {"health", "include_unloaded_segments", "pri"}},
        {{"/_cat/nodes"}, node_table, {"full_id", "include_unloaded_segments"}},
        {{"/_cat/plugins"}, plugin_table, {"include_bootstrap"}},
        {{"/_cat/tasks"},
         task_table,
         {"actions", "detailed", "nodes", "parent_task_id", "timeout", "wait_for_completion"}},
    };
    return all;
}

/// GET /_cat: the list of what there is.
std::string directory_text() {
    std::string out = "=^.^=\n";
    for (const Table& table : tables()) {
        for (const std::string& pattern : table.patterns)
            out += pattern + "\n";
    }
    return out + "/_cat/ml/trained_models\n/_cat/ml/trained_models/{id}\n";
}

/// Makes a table where it may block, and shows it.
template <class Make>
asio::awaitable<Response> respond(Request& request, const Node& node, Make make) {
    co_return co_await blocking(node, [&] { return make().respond(request); });
}

}  // namespace

void add_cat_routes(Router& router, Node& node) {
    router.add("GET", "/_cat", [](Request&) -> asio::awaitable<Response> {
        co_return Response::text(directory_text());
    });
    for (const Table& table : tables()) {
        const auto handle = [&node, make = table.make](Request& request) {
            return respond(request, node, [&node, &request, make] { return make(node, request); });
        };
        for (const std::string& pattern : table.patterns)
            router.add("GET", pattern, handle, table_parameters(table.parameters));
    }
    const auto models = std::make_shared<Models>(node);
    const auto handle = [&node, models](Request& request) {
        return respond(request, node, [models, &request] { return model_table(*models, request); });
    };
    for (const char* pattern : {"/_cat/ml/trained_models", "/_cat/ml/trained_models/{id}"})
        router.add("GET", pattern, handle, table_parameters({"allow_no_match", "from", "size"}));
}

}  // namespace penstock::serve
