// GET /_tasks and its family: what the server works at.
#include <algorithm>

#include "engine/runtime/await.h"
#include "tools/serve/task_json.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using TaskPtr = std::shared_ptr<job::Task>;

constexpr milliseconds kTimeout{30'000};

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches_wildcard(pattern, name); });
}

/// This node is the only one there is.
bool asks_this_node(const Node& node, const std::vector<std::string>& names) {
    if (names.empty()) return true;
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return name == "_all" || name == "_local" || name == "_master" || name == node.id ||
               matches_wildcard(name, node.name);
    });
}

/// The running tasks that the query string asks for, in the order of their beginnings.
std::vector<TaskPtr> select(const Node& node, const Parameters& query) {
    const std::vector<std::string> actions = query.list("actions");
    std::vector<TaskPtr> selected;
    if (!asks_this_node(node, query.list("nodes"))) return selected;
    std::uint64_t parent = 0;
    if (const std::string* text = query.find("parent_task_id")) {
        const TaskId id = parse_task_id(*text);
        if (id.node != node.id) return selected;
        parent = id.number;
    }
    for (TaskPtr& task : node.tasks->running()) {
        if (!actions.empty() && !matches_any(actions, task->spec().action)) continue;
        if (parent != 0 && task->spec().parent != parent) continue;
        selected.push_back(std::move(task));
    }
    return selected;
}

std::vector<job::TaskInfo> infos(const std::vector<TaskPtr>& tasks, bool detailed) {
    std::vector<job::TaskInfo> all;
    all.reserve(tasks.size());
    for (const TaskPtr& task : tasks)
        all.push_back(task->info(detailed));
    return all;
}

/// All of them, in one time-out (negative: none); says which one did not end.
awaitable<std::vector<TaskFailure>> wait_for(const Node& node, std::vector<TaskPtr> tasks,
                                             milliseconds timeout) {
    const auto end = steady_clock::now() + timeout;
    for (const TaskPtr& task : tasks) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
        const auto patience = timeout.count() < 0 ? timeout : std::max(left, milliseconds(0));
        if (co_await job::TaskManager::wait(task, patience)) continue;
        co_return std::vector<TaskFailure>{
            {"timeout_exception",
             "Timed out waiting for completion of [" + task_id(node, task->number()) + "]"}};
    }
    co_return std::vector<TaskFailure>{};
}

job::TaskSpec listing(const Request& request) {
    job::TaskSpec spec;
    spec.action = "cluster:monitor/tasks/lists";
    spec.headers = task_headers(request);
    return spec;
}

awaitable<Response> list(Node& node, Request& request) {
    const std::string grouping = group_by(request.query);
    const bool detailed = request.query.flag("detailed");
    const milliseconds timeout = request.query.time("timeout", kTimeout);
    try {
        job::TaskScope own(*node.tasks, listing(request));
        const std::vector<TaskPtr> tasks = select(node, request.query);
        std::vector<TaskFailure> failures;
        if (request.query.flag("wait_for_completion")) {
            std::vector<TaskPtr> others = tasks;
            std::erase_if(others, [](const TaskPtr& task) {
                return task->spec().action == "cluster:monitor/tasks/lists";  // would wait for us
            });
            failures = co_await wait_for(node, std::move(others), timeout);
        }
        co_return Response::json(
            task_list(node, infos(tasks, detailed), detailed, grouping, failures));
    } catch (const job::TooManyTasks& problem) {
        throw too_many_tasks(problem);
    }
}

// ---- one task

ApiError unknown_task(const Node& node, const TaskId& id) {
    const std::string name = id.node + ":" + std::to_string(id.number);
    if (id.node == node.id) {
        return resource_not_found("task [" + name +
                                  "] isn't running and hasn't stored its results");
    }
    return resource_not_found("task [" + name + "] belongs to the node [" + id.node +
                              "] which isn't part of the cluster and there is no record of the "
                              "task");
}

awaitable<Response> get(Node& node, Request& request) {
    const TaskId id = parse_task_id(request.part("task_id"));
    const bool wait = request.query.flag("wait_for_completion");
    const milliseconds timeout = request.query.time("timeout", kTimeout);
    if (id.node != node.id) throw unknown_task(node, id);
    if (const TaskPtr task = node.tasks->find(id.number)) {
        if (wait && !co_await job::TaskManager::wait(task, timeout)) {
            throw ApiError(429, "timeout_exception",
                           "Timed out waiting for completion of [" + request.part("task_id") + "]");
        }
        co_return Response::json(one_task(node, task->info()));
    }
    const auto stored = co_await runtime::call_on(node.runtime->blocking(),
                                                  [&] { return node.tasks->stored(id.number); });
    if (!stored) throw unknown_task(node, id);
    co_return Response::json(one_task(node, *stored));
}

// ---- cancel

/// Those that can be cancelled are, and are the answer.
awaitable<Response> cancel(Node& node, Request& request, std::vector<TaskPtr> tasks,
                           std::vector<TaskFailure> failures) {
    std::erase_if(tasks, [](const TaskPtr& task) { return !task->spec().cancellable; });
    for (const TaskPtr& task : tasks)
        node.tasks->cancel(task);
    if (request.query.flag("wait_for_completion")) {
        const auto late = co_await wait_for(node, tasks, milliseconds(-1));
        failures.insert(failures.end(), late.begin(), late.end());
    }
    co_return Response::json(
        task_list(node, infos(tasks, true), true, group_by(request.query), failures));
}

awaitable<Response> cancel_many(Node& node, Request& request) {
    co_return co_await cancel(node, request, select(node, request.query), {});
}

awaitable<Response> cancel_one(Node& node, Request& request) {
    const TaskId id = parse_task_id(request.part("task_id"));
    const TaskPtr task = id.node == node.id ? node.tasks->find(id.number) : nullptr;
    std::vector<TaskFailure> failures;
    if (!task) {
        failures.push_back({"resource_not_found_exception",
                            "task [" + request.part("task_id") + "] is not found"});
    } else if (!task->spec().cancellable) {
        failures.push_back({"illegal_argument_exception",
                            "task [" + request.part("task_id") + "] doesn't support cancellation"});
    }
    std::vector<TaskPtr> tasks;
    if (task) tasks.push_back(task);
    co_return co_await cancel(node, request, std::move(tasks), std::move(failures));
}

using Answer = awaitable<Response> (*)(Node&, Request&);

Handler bind(Node& node, Answer answer) {
    return [&node, answer](Request& request) { return answer(node, request); };
}

}  // namespace

void add_task_routes(Router& router, Node& node) {
    router.add("GET", "/_tasks", bind(node, list),
               {"actions", "detailed", "group_by", "nodes", "parent_task_id", "timeout",
                "wait_for_completion", "master_timeout"});
    router.add("GET", "/_tasks/{task_id}", bind(node, get), {"timeout", "wait_for_completion"});
    router.add("POST", "/_tasks/_cancel", bind(node, cancel_many),
               {"actions", "nodes", "parent_task_id", "wait_for_completion", "group_by"});
    router.add("POST", "/_tasks/{task_id}/_cancel", bind(node, cancel_one),
               {"actions", "nodes", "parent_task_id", "wait_for_completion", "group_by"});
}

}  // namespace penstock::serve
