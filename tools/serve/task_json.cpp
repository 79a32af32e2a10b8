#include "tools/serve/task_json.h"

#include <charconv>

#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace {

/// A part of a task of a node ("tasks/lists[n]") goes directly to its handler.
std::string_view type_of(const job::TaskInfo& info) {
    return info.spec.action.ends_with(']') ? "direct" : "transport";
}

void write_failures(const Node& node, const std::vector<TaskFailure>& failures,
                    document::JsonWriter& json) {
    if (failures.empty()) return;
    json.member_array("node_failures", [&] {
        for (const TaskFailure& failure : failures) {
            json.object([&] {
                json.member("type", "failed_node_exception");
                json.member("reason", "Failed node [" + node.id + "]");
                json.member("node_id", node.id);
                json.member_object("caused_by", [&] {
                    json.member("type", failure.type);
                    json.member("reason", failure.reason);
                });
            });
        }
    });
}

void write_node(const Node& node, document::JsonWriter& json) {
    json.member("name", node.name);
    json.member("transport_address", node.publish_address);
    json.member("host", node.publish_address.substr(0, node.publish_address.rfind(':')));
    json.member("ip", node.publish_address);
    json.member_array("roles", [&] {
        for (const char* role : {"data", "ingest", "master", "ml"})
            json.value(role);
    });
}

void write_by_node(const Node& node, const std::vector<job::TaskInfo>& tasks, bool detailed,
                   document::JsonWriter& json) {
    json.member_object("nodes", [&] {
        if (tasks.empty()) return;
        json.member_object(node.id, [&] {
            write_node(node, json);
            json.member_object("tasks", [&] {
                for (const job::TaskInfo& info : tasks) {
                    json.member_object(task_id(node, info.number),
                                       [&] { write_task(node, info, detailed, json); });
                }
            });
        });
    });
}

void write_with_children(const Node& node, const std::vector<job::TaskInfo>& tasks,
                         const job::TaskInfo& info, bool detailed, document::JsonWriter& json) {
    write_task(node, info, detailed, json);
    std::vector<const job::TaskInfo*> children;
    for (const job::TaskInfo& other : tasks) {
        if (other.spec.parent == info.number) children.push_back(&other);
    }
    if (children.empty()) return;
    json.member_array("children", [&] {
        for (const job::TaskInfo* child : children)
            json.object([&] { write_with_children(node, tasks, *child, detailed, json); });
    });
}

/// Tasks whose parents are not in the list stand on top.
void write_by_parent(const Node& node, const std::vector<job::TaskInfo>& tasks, bool detailed,
                     document::JsonWriter& json) {
    const auto is_listed = [&](std::uint64_t number) {
        for (const job::TaskInfo& info : tasks) {
            if (info.number == number) return true;
        }
        return false;
    };
    json.member_object("tasks", [&] {
        for (const job::TaskInfo& info : tasks) {
            if (info.spec.parent != 0 && is_listed(info.spec.parent)) continue;
            json.member_object(task_id(node, info.number),
                               [&] { write_with_children(node, tasks, info, detailed, json); });
        }
    });
}

void write_flat(const Node& node, const std::vector<job::TaskInfo>& tasks, bool detailed,
                document::JsonWriter& json) {
    json.member_array("tasks", [&] {
        for (const job::TaskInfo& info : tasks)
            json.object([&] { write_task(node, info, detailed, json); });
    });
}

}  // namespace

std::string task_id(const Node& node, std::uint64_t number) {
    return node.id + ":" + std::to_string(number);
}

TaskId parse_task_id(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    TaskId id;
    if (colon != std::string::npos && colon > 0 && colon + 1 < text.size()) {
        const char* end = text.data() + text.size();
        const auto [stop, problem] = std::from_chars(text.data() + colon + 1, end, id.number);
        id.node = text.substr(0, colon);
        if (problem == std::errc() && stop == end) return id;
    }
    throw illegal_argument("malformed task id " + text);
}

std::vector<std::pair<std::string, std::string>> task_headers(const Request& request) {
    std::vector<std::pair<std::string, std::string>> headers;
    if (std::string id = request.header("x-opaque-id"); !id.empty())
        headers.emplace_back("X-Opaque-Id", std::move(id));
    return headers;
}

void write_task(const Node& node, const job::TaskInfo& info, bool detailed,
                document::JsonWriter& json) {
    json.member("node", node.id);
    json.member("id", info.number);
    json.member("type", type_of(info));
    json.member("action", info.spec.action);
    if (detailed && !info.status.empty()) json.member_raw("status", info.status);
    if (detailed) json.member("description", info.spec.description);
    json.member("start_time_in_millis", milliseconds(info.start));
    json.member("running_time_in_nanos", info.running.count());
    json.member("cancellable", info.spec.cancellable);
    if (info.spec.cancellable) json.member("cancelled", info.cancelled);
    if (info.spec.parent != 0) json.member("parent_task_id", task_id(node, info.spec.parent));
    json.member_object("headers", [&] {
        for (const auto& [name, value] : info.spec.headers)
            json.member(name, value);
    });
}

std::string one_task(const Node& node, const job::TaskInfo& info) {
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        json.member("completed", info.completed);
        json.member_object("task", [&] { write_task(node, info, true, json); });
        if (!info.completed || !info.spec.keep_result) return;
        if (!info.outcome.error.empty()) json.member_raw("error", info.outcome.error);
        if (!info.outcome.response.empty()) json.member_raw("response", info.outcome.response);
    });
    return out;
}

std::string task_list(const Node& node, const std::vector<job::TaskInfo>& tasks, bool detailed,
                      std::string_view group_by, const std::vector<TaskFailure>& failures) {
    std::string out;
    document::JsonWriter json(out);
    json.object([&] {
        write_failures(node, failures, json);
        if (group_by == "parents") {
            write_by_parent(node, tasks, detailed, json);
        } else if (group_by == "none") {
            write_flat(node, tasks, detailed, json);
        } else {
            write_by_node(node, tasks, detailed, json);
        }
    });
    return out;
}

std::string group_by(const Parameters& query) {
    std::string name = query.text("group_by", "nodes");
    if (name != "nodes" && name != "parents" && name != "none") {
        throw illegal_argument("[group_by] must be one of [nodes], [parents] or [none] but was [" +
                               name + "]");
    }
    return name;
}

ApiError too_many_tasks(const job::TooManyTasks& problem) {
    return ApiError(429, "es_rejected_execution_exception", problem.what()).retry_after(1);
}

}  // namespace penstock::serve
