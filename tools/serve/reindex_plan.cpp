#include "tools/serve/reindex_plan.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/document/json_writer.h"
#include "engine/io/sorted_source.h"
#include "engine/job/chain_source.h"
#include "tools/serve/api_error.h"
#include "tools/serve/reindex_remote.h"
#include "tools/serve/routed_sink.h"

namespace penstock::serve {

using document::JsonWriter;
using std::chrono::milliseconds;

namespace {

/// So many indices are opened at once; more are opened one after another, each as it is then.
constexpr std::size_t kOpenAtOnce = 64;
/// Connections to indices that the slices of one job may have.
constexpr std::size_t kMostConnections = 512;

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& name : names)
        all += (all.empty() ? "" : ",") + name;
    return all;
}

/// `slices=auto` is one for each shard, as many as the settings say.
std::size_t shards(const Node& node, const std::vector<std::string>& indices) {
    constexpr std::int64_t most = 20;
    std::int64_t fewest = indices.empty() ? 1 : most;
    for (const std::string& index : indices) {
        if (const auto metadata = node.indices->metadata(index))
            fewest = std::min(fewest, metadata->shards);
    }
    return static_cast<std::size_t>(fewest);
}

/// Searches do not see all that is written to one of them.
bool waits_for_refresh(const Node& node, const std::vector<std::string>& indices) {
    return std::any_of(indices.begin(), indices.end(), [&](const std::string& index) {
        const auto metadata = node.indices->metadata(index);
        return metadata && metadata->visibility == io::Visibility::on_refresh;
    });
}

void check_destination(const ReindexPlan& plan) {
    if (std::find(plan.indices.begin(), plan.indices.end(), plan.dest) == plan.indices.end())
        return;
    throw action_validation(
        {"reindex cannot write into an index its reading from [" + plan.dest + "]"});
}

}  // namespace

ReindexPlan make_plan(Node& node, const ReindexRequest& request) {
    ReindexPlan plan;
    if (request.remote) {
        const RemoteWhitelist none(std::vector<std::string>{});
        (node.remote_whitelist ? *node.remote_whitelist : none).check(request.remote->address);
        plan.dest = node.indices->write_target(request.dest, request.require_alias).index;
        return plan;
    }
    plan.indices = node.indices->expand(joined(request.source), request.expand);
    for (const std::string& index : plan.indices) {
        std::vector<std::string> filters = node.indices->filters(joined(request.source), index);
        if (!filters.empty()) plan.filters[index] = std::move(filters);
    }
    plan.as_searched = waits_for_refresh(node, plan.indices);
    plan.slices = request.slices ? *request.slices : shards(node, plan.indices);
    if (plan.slices > 1 && plan.slices * plan.indices.size() > kMostConnections) {
        throw illegal_argument("[slices] of [" + std::to_string(plan.slices) + "] over [" +
                               std::to_string(plan.indices.size()) +
                               "] indices is too much: at most [" +
                               std::to_string(kMostConnections) + "] slices of single indices");
    }
    if (request.kind == ReindexKind::reindex) {
        plan.dest = node.indices->write_target(request.dest, request.require_alias).index;
        check_destination(plan);
        return plan;
    }
    for (const std::string& index : plan.indices) {
        check_changeable(index);
        const std::int64_t last = node.store->info(index).max_seq_no;
        plan.last_offsets[index] = static_cast<std::uint64_t>(std::max<std::int64_t>(last, 0));
    }
    return plan;
}

// ---- pipelines

namespace {

void add_stage(Node& node, const std::string& id, std::vector<job::PipelineStage>& stages) {
    if (id.empty() || id == "_none") return;
    const CompiledPipeline found = node.pipelines->find(id);
    if (found.pipeline == nullptr)
        throw illegal_argument("pipeline with id [" + id + "] does not exist");
    stages.push_back({found.set, found.pipeline});
}

/// What a write to the target goes through.
std::vector<job::PipelineStage> stages(Node& node, const ReindexRequest& request,
                                       const WriteTarget& target) {
    std::vector<job::PipelineStage> made;
    add_stage(node, request.pipeline.value_or(target.default_pipeline), made);
    add_stage(node, target.final_pipeline, made);
    return made;
}

void add_pipelines(Node& node, const ReindexRequest& request, const ReindexPlan& plan,
                   job::ReindexParts& parts) {
    if (request.kind == ReindexKind::delete_by_query) return;
    if (request.remote) {
        parts.stages[""] = stages(node, request, node.indices->write_target(plan.dest));
        return;
    }
    for (const std::string& index : plan.indices) {
        const std::string& target = plan.dest.empty() ? index : plan.dest;
        parts.stages[index] = stages(node, request, node.indices->write_target(target));
    }
    // Also where there is nothing to read, a pipeline that is not there is a mistake.
    if (plan.indices.empty() && request.pipeline) stages(node, request, {});
}

// ---- reading

/// What an alias shows of an index; null: all.
std::shared_ptr<const io::Query> filter_of(const ReindexPlan& plan, const std::string& index) {
    const auto found = plan.filters.find(index);
    if (found == plan.filters.end()) return nullptr;
    std::vector<std::shared_ptr<const io::Query>> filters;
    for (const std::string& filter : found->second)
        filters.push_back(io::Query::parse(filter));
    return io::Query::filtered(nullptr, std::move(filters));
}

/// The request's query, and what an alias shows of the index.
std::shared_ptr<const io::Query> query_of(const ReindexRequest& request, const ReindexPlan& plan,
                                          const std::string& index) {
    const auto filter = filter_of(plan, index);
    return filter ? io::Query::filtered(request.query, {filter}) : request.query;
}

/// Its documents can be searched for, and not copied.
void check_source(Node& node, const std::string& index,
                  const std::shared_ptr<const io::Query>& query) {
    const auto metadata = node.indices->metadata(index);
    if (!metadata || metadata->keeps_source) return;
    io::RecordBatch first;
    if (!node.store->scan(index, query)->read(first, 1, 1) || first.records.empty()) return;
    throw illegal_argument("[" + index + "][_doc][" + std::string(first.records.front().id) +
                           "] didn't store _source");
}

std::vector<std::unique_ptr<io::Source>> open_sorted_sources(Node& node,
                                                             const ReindexRequest& request,
                                                             const ReindexPlan& plan) {
    io::SortedOptions options;
    if (plan.indices.size() > kMostConnections) {
        throw illegal_argument(
            "[sort] or a [refresh_interval] of -1 over [" + std::to_string(plan.indices.size()) +
            "] indices is too much: at most [" + std::to_string(kMostConnections) + "]");
    }
    for (const std::string& index : plan.indices) {
        io::SortedPart& part = options.parts.emplace_back();
        part.index = index;
        part.filter = filter_of(plan, index);
        if (const auto bound = plan.last_offsets.find(index); bound != plan.last_offsets.end())
            part.last_seq_no = static_cast<std::int64_t>(bound->second);
    }
    options.query = request.query;
    options.sort = request.sort;
    if (options.sort.empty()) options.sort.push_back({.kind = io::SortKey::Kind::document});
    options.slices = plan.slices;
    if (request.max_docs)
        options.window = std::min<std::size_t>(options.window, *request.max_docs + request.size);
    return io::open_sorted(*node.store, options);
}

std::vector<std::unique_ptr<io::Source>> open_sources(Node& node, const ReindexRequest& request,
                                                      const ReindexPlan& plan) {
    // A search in the order of the documents sees what others see.
    if (!request.sort.empty() || plan.as_searched) return open_sorted_sources(node, request, plan);
    const bool all_at_once = plan.slices > 1 || plan.indices.size() <= kOpenAtOnce;
    std::vector<std::vector<job::ChainPart>> chains(plan.slices);
    for (const std::string& index : plan.indices) {
        const auto bound = plan.last_offsets.find(index);
        const auto query = query_of(request, plan, index);
        std::vector<std::unique_ptr<io::Source>> open;
        if (all_at_once) open = node.store->scan_slices(index, plan.slices, query);
        for (std::size_t i = 0; i < plan.slices; ++i) {
            job::ChainPart& part = chains[i].emplace_back();
            if (bound != plan.last_offsets.end()) part.last_offset = bound->second;
            if (all_at_once) {
                part.source = std::move(open[i]);
            } else {
                part.open = [store = node.store, index, query] {
                    return store->scan(index, query);
                };
            }
        }
    }
    std::vector<std::unique_ptr<io::Source>> sources;
    sources.reserve(chains.size());
    for (std::vector<job::ChainPart>& chain : chains)
        sources.push_back(job::make_chain(std::move(chain)));
    return sources;
}

/// What throttling makes the reader of a remote wait between two batches.
std::function<milliseconds()> throttle_pause(std::function<double()> rate_now, std::size_t size) {
    return [rate_now = std::move(rate_now), size] {
        const double rate = rate_now();
        if (rate <= 0) return milliseconds(0);
        constexpr double longest = 1e12;
        const double pause = 1000.0 * static_cast<double>(size) / rate;
        return milliseconds(static_cast<std::int64_t>(std::min(pause, longest)));
    };
}

/// As the `_source` member of a body says it.
std::string filter_json(const SourceFilter& filter) {
    if (!filter.fetch) return "false";
    std::string out;
    JsonWriter json(out);
    const auto list = [&](const char* name, const std::vector<std::string>& names) {
        json.member_array(name, [&] {
            for (const std::string& one : names)
                json.value(one);
        });
    };
    json.object([&] {
        list("includes", filter.includes);
        list("excludes", filter.excludes);
    });
    return out;
}

std::unique_ptr<io::Source> open_remote_source(const ReindexRequest& request,
                                               std::function<double()> rate) {
    io::RemoteOptions options = *request.remote;
    options.indices = request.source;
    options.size = request.size;
    if (!request.filter.keeps_all()) options.source_filter = filter_json(request.filter);
    options.pause = throttle_pause(std::move(rate), request.size);
    return io::open_remote(std::move(options));
}

void create_missing(Node& node, const std::string& index) {
    if (!node.indices->write_target(index).exists) node.indices->create_for_write(index);
}

/// Elasticsearch makes an index with the first document that goes there.
void make_destination(Node& node, const job::ReindexParts& parts, const std::string& dest) {
    const auto has_some = [](const std::unique_ptr<io::Source>& source) {
        return source->progress().records_total.value_or(1) > 0;
    };
    if (!dest.empty() && std::any_of(parts.sources.begin(), parts.sources.end(), has_some))
        create_missing(node, dest);
}

// ---- the job

}  // namespace

job::ReindexSettings make_settings(const ReindexRequest& request, const ReindexPlan& plan,
                                   const job::ReindexParts& parts) {
    job::ReindexSettings made;
    made.batch.index = plan.dest;
    made.batch.metadata_in_source = false;
    made.batch.in_place = plan.dest.empty();
    made.batch.op = request.kind == ReindexKind::delete_by_query ? io::WriteOp::remove : request.op;
    made.batch.version_type = request.version_type;
    made.batch.routing = request.routing;
    made.batch.routing_value = request.routing_value;
    if (!request.filter.keeps_all() && !request.remote) {
        made.batch.filter = [filter = request.filter](std::string source) {
            return filter.apply(std::move(source));
        };
    }
    made.size = request.size;
    // A pipeline that waits for a model gets smaller batches: more of them overlap.
    for (const auto& [index, stages_of_it] : parts.stages) {
        for (const job::PipelineStage& stage : stages_of_it) {
            if (stage.pipeline->waits) made.batch_bytes = 64UL * 1024;
        }
    }
    made.max_docs = request.max_docs;
    made.conflicts = request.conflicts;
    made.requests_per_second = request.requests_per_second;
    made.collect_failures = true;
    made.description = request.description();
    return made;
}

std::string reindex_fingerprint(const Node& node, const ReindexRequest& request) {
    if (!request.pipeline) return "";
    const auto stored = node.pipelines->get(*request.pipeline);
    return *request.pipeline + (stored ? " of " + stored->modified : "");
}

namespace {

/// What would be written to when there were more copies. Nothing is waited for: none will come.
ApiError too_few_copies(const ReindexRequest& request, const ReindexPlan& plan) {
    const std::string wanted = std::to_string(request.active_shards);
    return {503, "unavailable_shards_exception",
            "[" + (plan.dest.empty() ? joined(plan.indices) : plan.dest) +
                "][0] Not enough active copies to meet shard count of [" + wanted +
                "] (have 1, needed " + wanted + "). Timeout: [" + request.timeout +
                "], request: [" + request.description() + "]"};
}

void add_sources(Node& node, const ReindexRequest& request, const ReindexPlan& plan,
                 std::function<double()> rate, job::ReindexParts& parts) {
    if (request.remote) {
        parts.sources.push_back(open_remote_source(request, std::move(rate)));
        parts.reading = node.runtime->network();
        // What there is to read is known only once it is read.
        parts.before_writing = [&node, dest = plan.dest] { create_missing(node, dest); };
        return;
    }
    for (const std::string& index : plan.indices)
        check_source(node, index, query_of(request, plan, index));
    parts.sources = open_sources(node, request, plan);
    make_destination(node, parts, plan.dest);
}

}  // namespace

job::ReindexParts make_parts(Node& node, const ReindexRequest& request, const ReindexPlan& plan,
                             std::function<double()> rate) {
    job::ReindexParts parts;
    add_pipelines(node, request, plan, parts);
    try {
        add_sources(node, request, plan, std::move(rate), parts);
    } catch (const io::QueryError& problem) {
        throw ApiError(400, problem.type(), problem.what());
    } catch (const io::RemoteError& problem) {
        throw ApiError(problem.status(), problem.type(), problem.what());
    }
    io::SinkOptions sink;
    sink.location = "index:" + (!plan.dest.empty()     ? plan.dest
                                : plan.indices.empty() ? "none"
                                                       : plan.indices.front());
    sink.store = node.store;
    parts.sink = io::open_sink(sink);
    if (request.active_shards > 1) {
        parts.sink = make_refusing_sink(too_few_copies(request, plan));
    } else if (!plan.dest.empty()) {
        parts.sink =
            make_routed_sink(std::move(parts.sink), *node.indices, plan.dest,
                             node.indices->write_target(plan.dest).final_pipeline, plan.confined);
    }
    return parts;
}

}  // namespace penstock::serve
