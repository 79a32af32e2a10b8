// POST /_reindex, /_update_by_query, /_delete_by_query and their tasks.
#include "engine/runtime/await.h"
#include "tools/serve/authorization.h"
#include "tools/serve/json_body.h"
#include "tools/serve/reindex_job.h"
#include "tools/serve/response_format.h"
#include "tools/serve/task_json.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using TaskPtr = std::shared_ptr<job::Task>;

constexpr milliseconds kTimeout{30'000};

// ---- starting

/// As Elasticsearch: to read the source, to write the destination, and to make it where it is not
/// there. Blocks.
void authorize_reindex(Node& node, const Request& request, ReindexRequest& asked) {
    if (asked.kind != ReindexKind::reindex) return;
    if (!asked.remote) {
        // As one expression: what one part of it excludes, and what patterns reach, goes for all.
        std::string names;
        for (const std::string& name : asked.source)
            names += (names.empty() ? "" : ",") + name;
        asked.source = {authorize_names(node, request, IndexPrivilege::read, names)};
    }
    const bool adds = asked.op == io::WriteOp::create;
    authorize_names(node, request, adds ? IndexPrivilege::add_doc : IndexPrivilege::put_doc,
                    asked.dest);
    const WriteTarget target = node.indices->write_target(asked.dest, asked.require_alias);
    if (!target.exists) authorize_auto_create(request, target.index);
}

awaitable<Response> start(Node& node, Request& request, ReindexKind kind) {
    JsonBody body;
    co_await body.read(request);
    ReindexOrigin origin;
    origin.kind = kind;
    origin.index = request.part("index");
    origin.query = request.query;
    if (!body.empty()) origin.body = json_text(document::Value::object(&body.root()));
    origin.headers = task_headers(request);
    ReindexRequest asked = parse_reindex(kind, origin.index, origin.query, origin.body);
    origin.confined = is_limited(request);
    if (origin.confined) {
        co_await runtime::call_on(node.runtime->blocking(),
                                  [&] { authorize_reindex(node, request, asked); });
    }
    const bool wait = asked.wait_for_completion;
    const std::vector<std::string> warnings = std::move(asked.warnings);
    const auto with_warnings = [&](Response response) {
        for (const std::string& text : warnings)
            add_warning(response, node.compat, text);
        return response;
    };
    const auto run = co_await start_reindex(node, std::move(asked), std::move(origin));
    if (!wait) {
        std::string out;
        document::JsonWriter json(out);
        json.object([&] { json.member("task", task_id(node, run->task->number())); });
        co_return with_warnings(Response::json(std::move(out)));
    }
    co_await job::TaskManager::wait(run->task, milliseconds(-1));
    co_return with_warnings(Response::json(run->body, run->status));
}

// ---- rethrottle

/// The running task of that id and kind; null when there is none.
TaskPtr running(const Node& node, const std::string& id_text, ReindexKind kind) {
    const TaskId id = parse_task_id(id_text);
    TaskPtr task = id.node == node.id ? node.tasks->find(id.number) : nullptr;
    return task && task->spec().action == reindex_action(kind) ? task : nullptr;
}

/// Whatever of the three it is, by whichever of their paths, as in Elasticsearch.
TaskPtr running(const Node& node, const std::string& id_text) {
    for (const ReindexKind kind :
         {ReindexKind::reindex, ReindexKind::update_by_query, ReindexKind::delete_by_query}) {
        if (TaskPtr task = running(node, id_text, kind)) return task;
    }
    return nullptr;
}

awaitable<Response> rethrottle(Node& node, Request& request) {
    const auto rate = requests_per_second(request.query);
    if (!rate) throw illegal_argument("requests_per_second is a required parameter");
    const TaskPtr task = running(node, request.part("task_id"));
    std::vector<job::TaskInfo> changed;
    std::vector<TaskFailure> failures;
    if (task && task->rethrottle(*rate)) {
        changed.push_back(task->info());
    } else {
        failures.push_back(
            {"resource_not_found_exception", "task [" + request.part("task_id") + "] is missing"});
    }
    co_return Response::json(task_list(node, changed, true, group_by(request.query), failures));
}

// ---- Elasticsearch 9.5's own requests about reindex tasks

void write_reindex_task(const Node& node, const job::TaskInfo& info, bool detailed,
                        document::JsonWriter& json) {
    json.member("id", task_id(node, info.number));
    json.member("description", info.spec.description);
    json.member("start_time_in_millis",
                std::chrono::duration_cast<milliseconds>(info.start.time_since_epoch()).count());
    json.member("running_time_in_nanos", info.running.count());
    json.member("cancelled", info.cancelled);
    if (detailed && !info.status.empty()) json.member_raw("status", info.status);
}

std::string one_reindex(const Node& node, const job::TaskInfo& info) {
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member("completed", info.completed);
        write_reindex_task(node, info, true, json);
        if (!info.completed) return;
        if (!info.outcome.error.empty()) json.member_raw("error", info.outcome.error);
        if (!info.outcome.response.empty()) json.member_raw("response", info.outcome.response);
    });
    return out;
}

/// Slices are no tasks of their own here.
bool is_reindex(const job::TaskSpec& spec) {
    return spec.action == reindex_action(ReindexKind::reindex) && spec.parent == 0;
}

awaitable<Response> list(Node& node, Request& request) {
    const bool detailed = request.query.flag("detailed");
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member_array("reindex", [&] {
            for (const TaskPtr& task : node.tasks->running()) {
                if (!is_reindex(task->spec())) continue;
                json.object(
                    [&] { write_reindex_task(node, task->info(detailed), detailed, json); });
            }
        });
    });
    co_return Response::json(std::move(out));
}

awaitable<Response> get(Node& node, Request& request) {
    const std::string& id_text = request.part("task_id");
    const ApiError unknown = resource_not_found("Reindex operation [" + id_text + "] not found");
    const bool wait = request.query.flag("wait_for_completion");
    const milliseconds timeout = request.query.time("timeout", kTimeout);
    if (const TaskPtr task = running(node, id_text, ReindexKind::reindex)) {
        if (!is_reindex(task->spec())) throw unknown;
        if (wait) co_await job::TaskManager::wait(task, timeout);
        co_return Response::json(one_reindex(node, task->info()));
    }
    const TaskId id = parse_task_id(id_text);
    if (id.node != node.id) throw unknown;
    const auto stored = co_await runtime::call_on(node.runtime->blocking(),
                                                  [&] { return node.tasks->stored(id.number); });
    if (!stored || !is_reindex(stored->spec)) throw unknown;
    co_return Response::json(one_reindex(node, *stored));
}

awaitable<Response> cancel(Node& node, Request& request) {
    const std::string& id_text = request.part("task_id");
    const TaskPtr task = running(node, id_text, ReindexKind::reindex);
    if (!task || !is_reindex(task->spec())) {
        throw resource_not_found("reindex task [" + id_text + "] either not found or completed");
    }
    node.tasks->cancel(task);
    if (!request.query.flag("wait_for_completion", true))
        co_return Response::json("{\"acknowledged\":true}");
    co_await job::TaskManager::wait(task, milliseconds(-1));
    co_return Response::json(one_reindex(node, task->info()));
}

}  // namespace

void add_reindex_routes(Router& router, Node& node) {
    const auto add = [&](const std::string& path, const std::string& name, ReindexKind kind) {
        router.add(
            "POST", path, [&node, kind](Request& request) { return start(node, request, kind); },
            reindex_parameters(kind));
        router.add("POST", "/" + name + "/{task_id}/_rethrottle",
                   [&node](Request& request) { return rethrottle(node, request); },
                   {"requests_per_second", "group_by"});
    };
    add("/_reindex", "_reindex", ReindexKind::reindex);
    add("/{index}/_update_by_query", "_update_by_query", ReindexKind::update_by_query);
    add("/{index}/_delete_by_query", "_delete_by_query", ReindexKind::delete_by_query);
    router.add("GET", "/_reindex", [&node](Request& request) { return list(node, request); },
               {"detailed"});
    router.add("GET", "/_reindex/{task_id}",
               [&node](Request& request) { return get(node, request); },
               {"wait_for_completion", "timeout"});
    router.add("POST", "/_reindex/{task_id}/_cancel",
               [&node](Request& request) { return cancel(node, request); },
               {"wait_for_completion"});
}

}  // namespace penstock::serve
