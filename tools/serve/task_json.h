// Tasks as the API shows them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/job/task_manager.h"
#include "tools/serve/api_error.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// "NODE:12".
std::string task_id(const Node& node, std::uint64_t number);

struct TaskId {
    std::string node;
    std::uint64_t number = 0;
};
/// Throws ApiError 400 for what is no task id.
TaskId parse_task_id(const std::string& text);

/// The headers of a request that its tasks show.
std::vector<std::pair<std::string, std::string>> task_headers(const Request& request);

/// Members of one task: node, id, type, action, ...; description and status only when `detailed`.
void write_task(const Node& node, const job::TaskInfo& info, bool detailed,
                document::JsonWriter& json);

/// {"completed", "task": {...}}, with "response" or "error" of a result that is kept.
std::string one_task(const Node& node, const job::TaskInfo& info);

/// What could not be done with a task of this node, for `node_failures`.
struct TaskFailure {
    std::string type;
    std::string reason;
};

/// {"node_failures": [...], "nodes": {...}}, or by `group_by` {"tasks": ...}.
std::string task_list(const Node& node, const std::vector<job::TaskInfo>& tasks, bool detailed,
                      std::string_view group_by = "nodes",
                      const std::vector<TaskFailure>& failures = {});
/// `group_by` of the query string, checked.
std::string group_by(const Parameters& query);

/// 429 for a job::TooManyTasks.
ApiError too_many_tasks(const job::TooManyTasks& problem);

}  // namespace penstock::serve
