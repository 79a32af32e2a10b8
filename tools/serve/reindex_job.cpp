#include "tools/serve/reindex_job.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>

#include "engine/io/sorted_source.h"
#include "engine/job/chain_source.h"
#include "engine/runtime/await.h"
#include "tools/serve/json_body.h"
#include "tools/serve/reindex_remote.h"
#include "tools/serve/routed_sink.h"
#include "tools/serve/task_json.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using job::ReindexStatus;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// So many indices are opened at once; more are opened one after another, each as it is then.
constexpr std::size_t kOpenAtOnce = 64;
/// Connections to indices that the slices of one job may have.
constexpr std::size_t kMostConnections = 512;

// ---- the plan: what the request comes to on this node

struct Plan {
    std::vector<std::string> indices;  ///< concrete
    /// What an index had when a job that writes back began: its own writes come behind.
    std::map<std::string, std::uint64_t> last_offsets;
    /// By index: filters of the aliases by which alone it was named, one of which must hold.
    std::map<std::string, std::vector<std::string>> filters;
    std::string dest;  ///< concrete; empty: back to where documents come from
    std::size_t slices = 1;
    bool confined = false;  ///< pipelines send nothing elsewhere
};

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

void check_destination(const Plan& plan) {
    if (std::find(plan.indices.begin(), plan.indices.end(), plan.dest) == plan.indices.end())
        return;
    throw action_validation(
        {"reindex cannot write into an index its reading from [" + plan.dest + "]"});
}

Plan make_plan(Node& node, const ReindexRequest& request) {
    Plan plan;
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

void add_pipelines(Node& node, const ReindexRequest& request, const Plan& plan,
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
std::shared_ptr<const io::Query> filter_of(const Plan& plan, const std::string& index) {
    const auto found = plan.filters.find(index);
    if (found == plan.filters.end()) return nullptr;
    std::vector<std::shared_ptr<const io::Query>> filters;
    for (const std::string& filter : found->second)
        filters.push_back(io::Query::parse(filter));
    return io::Query::filtered(nullptr, std::move(filters));
}

/// The request's query, and what an alias shows of the index.
std::shared_ptr<const io::Query> query_of(const ReindexRequest& request, const Plan& plan,
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
                                                             const Plan& plan) {
    io::SortedOptions options;
    if (plan.indices.size() > kMostConnections) {
        throw illegal_argument("[sort] over [" + std::to_string(plan.indices.size()) +
                               "] indices is too much: at most [" +
                               std::to_string(kMostConnections) + "]");
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
    options.slices = plan.slices;
    if (request.max_docs)
        options.window = std::min<std::size_t>(options.window, *request.max_docs + request.size);
    return io::open_sorted(*node.store, options);
}

std::vector<std::unique_ptr<io::Source>> open_sources(Node& node, const ReindexRequest& request,
                                                      const Plan& plan) {
    if (!request.sort.empty()) return open_sorted_sources(node, request, plan);
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
std::function<milliseconds()> throttle_pause(const std::shared_ptr<ReindexRun>& run,
                                             std::size_t size) {
    return [weak = std::weak_ptr(run), size] {
        const std::shared_ptr<ReindexRun> it = weak.lock();
        const double rate = it && it->reindex ? it->reindex->status().requests_per_second : -1;
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
                                               const std::shared_ptr<ReindexRun>& run) {
    io::RemoteOptions options = *request.remote;
    options.indices = request.source;
    options.size = request.size;
    if (!request.filter.keeps_all()) options.source_filter = filter_json(request.filter);
    options.pause = throttle_pause(run, request.size);
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

job::ReindexSettings settings(const ReindexRequest& request, const Plan& plan,
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

/// Which pipeline it is, and of when: a resume with another one would be two jobs in one index.
/// All else that decides the result is in the task's record.
std::string fingerprint(const Node& node, const ReindexRequest& request) {
    if (!request.pipeline) return "";
    const auto stored = node.pipelines->get(*request.pipeline);
    return *request.pipeline + (stored ? " of " + stored->modified : "");
}

/// What would be written to when there were more copies. Nothing is waited for: none will come.
ApiError too_few_copies(const ReindexRequest& request, const Plan& plan) {
    const std::string wanted = std::to_string(request.active_shards);
    return {503, "unavailable_shards_exception",
            "[" + (plan.dest.empty() ? joined(plan.indices) : plan.dest) +
                "][0] Not enough active copies to meet shard count of [" + wanted +
                "] (have 1, needed " + wanted + "). Timeout: [" + request.timeout +
                "], request: [" + request.description() + "]"};
}

void add_sources(Node& node, const ReindexRequest& request, const Plan& plan,
                 const std::shared_ptr<ReindexRun>& run, job::ReindexParts& parts) {
    if (request.remote) {
        parts.sources.push_back(open_remote_source(request, run));
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

/// On the blocking pool.
job::ReindexParts make_parts(Node& node, const ReindexRequest& request, const Plan& plan,
                             const std::shared_ptr<ReindexRun>& run) {
    job::ReindexParts parts;
    add_pipelines(node, request, plan, parts);
    try {
        add_sources(node, request, plan, run, parts);
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

// ---- what a later process needs

/// A remote's credentials are not written to the disk, where they would outlive the task in backups
/// and copies, and its scroll is gone with the process: such a job is not gone on with, and its
/// record says no more than why.
std::string write_remote_record(const io::RemoteAddress& address) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { json.member("remote", address.text()); });
    return out;
}

std::string write_record(const ReindexOrigin& origin, const Plan& plan) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("kind", static_cast<int>(origin.kind));
        json.member("index", origin.index);
        json.member_object("parameters", [&] {
            for (const std::string& name : origin.query.names())
                json.member(name, origin.query.text(name));
        });
        json.member("body", origin.body);
        json.member_array("indices", [&] {
            for (const std::string& index : plan.indices)
                json.value(index);
        });
        json.member_object("last_offsets", [&] {
            for (const auto& [index, offset] : plan.last_offsets)
                json.member(index, offset);
        });
        json.member_object("filters", [&] {
            for (const auto& [index, filters] : plan.filters) {
                json.member_array(index, [&, list = &filters] {
                    for (const std::string& filter : *list)
                        json.value(filter);
                });
            }
        });
        json.member("dest", plan.dest);
        json.member("slices", plan.slices);
        json.member("confined", plan.confined);
    });
    return out;
}

std::string text_member(const JsonBody& body, const char* name) {
    const document::Value* value = body.find(name);
    if (value == nullptr || !value->is_string()) throw Error("its record is damaged");
    return std::string(value->as_string());
}

std::int64_t integer_member(const JsonBody& body, const char* name) {
    const document::Value* value = body.find(name);
    if (value == nullptr || !value->is_integer()) throw Error("its record is damaged");
    return value->as_integer();
}

void read_record(const std::string& text, ReindexOrigin& origin, Plan& plan) {
    JsonBody body;
    body.parse(text);
    if (body.find("remote") != nullptr)
        throw Error("it reads from the remote [" + text_member(body, "remote") +
                    "], whose scroll has ended and whose credentials are not kept");
    origin.kind = static_cast<ReindexKind>(integer_member(body, "kind"));
    origin.index = text_member(body, "index");
    origin.body = text_member(body, "body");
    plan.dest = text_member(body, "dest");
    plan.slices = static_cast<std::size_t>(integer_member(body, "slices"));
    const document::Value* confined = body.find("confined");  // earlier versions have none
    plan.confined = confined != nullptr && confined->is_boolean() && confined->as_boolean();
    if (const document::Value* parameters = body.find("parameters")) {
        for (const document::Member& one : parameters->as_object())
            origin.query.set(std::string(one.key()), std::string(one.value.as_string()));
    }
    if (const document::Value* indices = body.find("indices")) {
        for (const document::Value& index : indices->as_array())
            plan.indices.emplace_back(index.as_string());
    }
    if (const document::Value* filters = body.find("filters")) {
        for (const document::Member& one : filters->as_object()) {
            for (const document::Value& filter : one.value.as_array())
                plan.filters[std::string(one.key())].emplace_back(filter.as_string());
        }
    }
    if (const document::Value* offsets = body.find("last_offsets")) {
        for (const document::Member& one : offsets->as_object())
            plan.last_offsets[std::string(one.key())] =
                static_cast<std::uint64_t>(one.value.as_integer());
    }
}

// ---- responses

std::int64_t to_millis(nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

/// The counts of the whole or of one slice.
void write_counts(const job::Totals& totals, std::uint64_t total, std::uint64_t retries,
                  nanoseconds throttled, double rate, JsonWriter& json) {
    json.member("total", total);
    json.member("updated", totals.updated);
    json.member("created", totals.created);
    json.member("deleted", totals.deleted);
    json.member("batches", totals.batches);
    json.member("version_conflicts", totals.version_conflicts);
    json.member("noops", totals.noops + totals.dropped);
    json.member_object("retries", [&] {
        json.member("bulk", 0);
        json.member("search", retries);
    });
    json.member("throttled_millis", to_millis(throttled));
    json.member("requests_per_second", rate);
}

double slice_rate(const ReindexStatus& status) {
    return status.requests_per_second < 0
               ? -1
               : status.requests_per_second / static_cast<double>(status.slices.size());
}

void write_slice(const ReindexStatus& status, std::size_t i, bool cancelled, JsonWriter& json) {
    const job::SliceStatus& slice = status.slices[i];
    json.member("slice_id", i);
    write_counts(slice.totals, slice.total, slice.retries, slice.throttled, slice_rate(status),
                 json);
    if (cancelled || slice.cancelled) json.member("canceled", "by user request");
    json.member("throttled_until_millis", to_millis(slice.throttled_until));
}

void write_status(const ReindexStatus& status, bool cancelled, JsonWriter& json) {
    nanoseconds until{0};
    for (const job::SliceStatus& slice : status.slices)
        until = std::max(until, slice.throttled_until);
    write_counts(status.totals, status.total, status.progress.retries, status.throttled,
                 status.requests_per_second, json);
    if (cancelled) json.member("canceled", "by user request");
    json.member("throttled_until_millis", to_millis(until));
    if (status.slices.size() < 2) return;
    json.member_array("slices", [&] {
        for (std::size_t i = 0; i < status.slices.size(); ++i)
            json.object([&] { write_slice(status, i, cancelled, json); });
    });
}

std::string slice_status_json(const ReindexStatus& status, std::size_t slice) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_slice(status, slice, false, json); });
    return out;
}

void write_failure(const job::FailureNote& failure, JsonWriter& json) {
    json.object([&] {
        json.member("index", failure.index);
        json.member("id", failure.id);
        json.member_object("cause", [&] {
            json.member("type", failure.type);
            json.member("reason", failure.message);
            if (failure.status != 409) return;
            json.member("index_uuid", "_na_");
            json.member("shard", "0");
            json.member("index", failure.index);
        });
        json.member("status", failure.status);
    });
}

std::string response_json(const ReindexStatus& status, bool cancelled) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("took", to_millis(status.took));
        json.member("timed_out", false);
        write_status(status, cancelled, json);
        json.member_array("failures", [&] {
            for (const job::FailureNote& failure : status.failures)
                write_failure(failure, json);
        });
    });
    return out;
}

/// The highest status is taken to be the worst, as Elasticsearch does.
int response_status(const ReindexStatus& status) {
    int worst = 200;
    for (const job::FailureNote& failure : status.failures)
        worst = std::max(worst, failure.status);
    return worst;
}

// ---- running

job::TaskSpec slice_spec(const job::Task& parent) {
    job::TaskSpec spec;
    spec.action = parent.spec().action;
    spec.description = parent.spec().description;
    spec.cancellable = true;
    spec.parent = parent.number();
    spec.headers = parent.spec().headers;
    return spec;
}

/// Slices are children; a job of one slice is its own.
void begin_slices(ReindexRun& run, std::size_t count) {
    for (std::size_t i = 0; count > 1 && i < count; ++i) {
        run.slices.push_back(run.tasks->begin(slice_spec(*run.task)));
        job::TaskHooks hooks;
        hooks.status = [reindex = run.reindex, i] {
            return slice_status_json(reindex->status(), i);
        };
        hooks.cancel = [reindex = run.reindex, i] { reindex->cancel_slice(i); };
        run.slices.back()->set_hooks(std::move(hooks));
    }
}

void set_hooks(const std::shared_ptr<ReindexRun>& run) {
    job::TaskHooks hooks;
    // The task holds its hooks: they must not hold it.
    hooks.status = [reindex = run->reindex, task = std::weak_ptr(run->task)] {
        const auto it = task.lock();
        return reindex_status_json(reindex->status(), it && it->cancelled());
    };
    hooks.cancel = [reindex = run->reindex] { reindex->cancel(); };
    hooks.suspend = [reindex = run->reindex] { reindex->cancel_now(); };
    hooks.rethrottle = [reindex = run->reindex](double rate) { reindex->rethrottle(rate); };
    run->task->set_hooks(std::move(hooks));
}

/// Of a job that has failed as a whole.
ApiError error_of(const ReindexStatus& status) {
    try {
        if (status.problem) std::rethrow_exception(status.problem);
    } catch (const ApiError& problem) {
        return problem;
    } catch (const io::RemoteError& problem) {
        return {problem.status(), problem.type(), problem.what()};
    } catch (...) {
        // As any other.
    }
    return {500, "exception", status.error};
}

/// Of a job that the server's end has stopped.
ApiError error_of_stop(const ReindexRun& run) {
    if (run.remote.empty()) {
        return {503, "status_exception",
                "the server is stopping; it goes on with the task when it is started"};
    }
    return {503, "task_interrupted_exception",
            "the server was stopped; it does not go on with what it reads from the remote [" +
                run.remote +
                "]: what is written remains, and the task can be started again with [op_type] of "
                "[create] and [conflicts] of [proceed]"};
}

job::TaskOutcome conclude(ReindexRun& run, const ReindexStatus& status) {
    job::TaskOutcome outcome;
    const bool cancelled = run.task->cancelled();
    if (status.state == job::ReindexState::cancelled && !cancelled) {
        const ApiError error = error_of_stop(run);
        outcome.interrupted = run.remote.empty();
        if (!outcome.interrupted) outcome.error = error.object();
        run.body = error.body();
        run.status = error.status();
    } else if (status.state == job::ReindexState::failed && status.failures.empty()) {
        const ApiError error = error_of(status);
        outcome.error = error.object();
        run.body = error.body();
        run.status = error.status();
    } else {
        outcome.response = response_json(status, cancelled);
        run.body = outcome.response;
        run.status = response_status(status);
    }
    return outcome;
}

void finish(ReindexRun& run, job::TaskOutcome outcome) {
    for (const std::shared_ptr<job::Task>& slice : run.slices)
        run.tasks->finish(slice);
    run.tasks->finish(run.task, std::move(outcome));
}

awaitable<void> follow(runtime::Runtime& runtime, std::shared_ptr<ReindexRun> run) {
    const ReindexStatus status = co_await run->reindex->run();
    job::TaskOutcome outcome = conclude(*run, status);
    co_await runtime::call_on(runtime.blocking(), [&] { finish(*run, std::move(outcome)); });
}

void log_escaped(const std::exception_ptr& problem) {
    try {
        if (problem) std::rethrow_exception(problem);
    } catch (const std::exception& error) {
        spdlog::error("a reindex task ended by a fault of the server: {}", error.what());
    }
}

void spawn(runtime::Runtime& runtime, const std::shared_ptr<ReindexRun>& run) {
    boost::asio::co_spawn(runtime.cpu(), follow(runtime, run), log_escaped);
}

// ---- beginning

/// What is ready to become a task.
struct Prepared {
    ReindexRequest request;
    Plan plan;
    std::string record;
    job::ReindexParts parts;
};

/// On the blocking pool; with the task begun, what goes wrong is its end.
void begin_job(Node& node, Prepared& prepared, const std::shared_ptr<ReindexRun>& run,
               bool resumed) {
    const job::CheckpointFile file(run->tasks->checkpoint_path(run->task->number()));
    job::ReindexSettings made = settings(prepared.request, prepared.plan, prepared.parts);
    made.fingerprint = fingerprint(node, prepared.request);
    prepared.parts.checkpoint = file;
    run->reindex =
        std::make_shared<job::Reindex>(*node.runtime, std::move(made), std::move(prepared.parts));
    if (const auto checkpoint = resumed ? file.load() : std::nullopt)
        run->reindex->resume(*checkpoint);
    begin_slices(*run, prepared.plan.slices);
    set_hooks(run);
}

job::TaskSpec task_spec(const Prepared& prepared, const ReindexOrigin& origin) {
    job::TaskSpec spec;
    spec.action = reindex_action(prepared.request.kind);
    spec.description = prepared.request.description();
    spec.cancellable = true;
    spec.headers = origin.headers;
    spec.keep_result = !prepared.request.wait_for_completion;
    spec.resume = prepared.record;
    return spec;
}

/// On the blocking pool.
void prepare_and_begin(Node& node, Prepared& prepared, const ReindexOrigin& origin,
                       const std::shared_ptr<ReindexRun>& run) {
    prepared.plan = make_plan(node, prepared.request);
    prepared.plan.confined = origin.confined;
    const auto& remote = prepared.request.remote;
    if (remote) run->remote = remote->address.text();
    prepared.record =
        remote ? write_remote_record(remote->address) : write_record(origin, prepared.plan);
    prepared.parts = make_parts(node, prepared.request, prepared.plan, run);
    run->task = run->tasks->begin(task_spec(prepared, origin));
    try {
        begin_job(node, prepared, run, false);
    } catch (const std::exception& problem) {
        finish(*run, {"", ApiError(500, "exception", problem.what()).object()});
        throw;
    }
}

/// An error for the task's record, of whatever is being thrown.
std::string cannot_resume() {
    std::string reason = "an unknown error";
    try {
        throw;
    } catch (const std::exception& error) {
        reason = error.what();
    }
    return ApiError(500, "task_interrupted_exception",
                    "the server ended while the task was running, and it cannot be gone on with (" +
                        reason +
                        "); what it had done until then remains, and it can be started again with "
                        "[conflicts] of [proceed]")
        .object();
}

/// On the blocking pool. False when the task has failed.
bool resume_job(Node& node, const std::shared_ptr<ReindexRun>& run) {
    try {
        Prepared prepared;
        ReindexOrigin origin;
        prepared.record = run->task->spec().resume;
        read_record(prepared.record, origin, prepared.plan);
        prepared.request = parse_reindex(origin.kind, origin.index, origin.query, origin.body);
        for (const std::string& index : prepared.plan.indices) {
            if (!node.store->exists(index)) throw index_not_found(index);
        }
        prepared.parts = make_parts(node, prepared.request, prepared.plan, run);
        run->kind = origin.kind;
        begin_job(node, prepared, run, true);
        return true;
    } catch (...) {
        finish(*run, {"", cannot_resume()});
        return false;
    }
}

awaitable<void> resume(Node& node, std::shared_ptr<ReindexRun> run) {
    const bool begun =
        co_await runtime::call_on(node.runtime->blocking(), [&] { return resume_job(node, run); });
    if (begun) co_await follow(*node.runtime, run);
}

}  // namespace

std::string reindex_status_json(const ReindexStatus& status, bool cancelled) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_status(status, cancelled, json); });
    return out;
}

awaitable<std::shared_ptr<ReindexRun>> start_reindex(Node& node, ReindexRequest request,
                                                     ReindexOrigin origin) {
    auto run = std::make_shared<ReindexRun>();
    run->tasks = node.tasks;
    run->kind = request.kind;
    Prepared prepared;
    prepared.request = std::move(request);
    try {
        co_await runtime::call_on(node.runtime->blocking(),
                                  [&] { prepare_and_begin(node, prepared, origin, run); });
    } catch (const job::TooManyTasks& problem) {
        throw too_many_tasks(problem);
    }
    spawn(*node.runtime, run);
    co_return run;
}

void resume_reindex_tasks(Node& node) {
    for (const job::InterruptedTask& interrupted : node.tasks->take_interrupted()) {
        auto run = std::make_shared<ReindexRun>();
        run->tasks = node.tasks;
        run->task = node.tasks->resume(interrupted);
        spdlog::info("going on with task {}: {}", task_id(node, interrupted.number),
                     interrupted.spec.description);
        boost::asio::co_spawn(node.runtime->cpu(), resume(node, run), log_escaped);
    }
}

}  // namespace penstock::serve
