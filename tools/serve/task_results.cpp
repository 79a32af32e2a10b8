#include "tools/serve/task_results.h"

#include <spdlog/spdlog.h>

#include <span>

#include "engine/runtime/error.h"
#include "tools/serve/task_json.h"

namespace penstock::serve {

namespace {

/// The fields and types of Elasticsearch's index of this name.
constexpr std::string_view kBody = R"({
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": true},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "completed": {"type": "boolean"},
            "task": {
                "properties": {
                    "action": {"type": "keyword"},
                    "cancellable": {"type": "boolean"},
                    "cancelled": {"type": "boolean"},
                    "description": {"type": "text"},
                    "headers": {"type": "object", "enabled": false},
                    "id": {"type": "long"},
                    "node": {"type": "keyword"},
                    "parent_task_id": {"type": "keyword"},
                    "running_time_in_nanos": {"type": "long"},
                    "start_time_in_millis": {"type": "long"},
                    "status": {"type": "object", "enabled": false},
                    "type": {"type": "keyword"}
                }
            },
            "response": {"type": "object", "enabled": false},
            "error": {"type": "object", "enabled": false}
        }
    }
})";

void write(const Node& node, std::span<const io::WriteItem> items) {
    std::vector<io::ItemResult> results;
    node.store->bulk(std::string(kTasksIndex), items, results);
    for (const io::ItemResult& result : results) {
        if (!result.error_type.empty()) throw Error(result.error_reason);
    }
}

void keep(const Node& node, const job::TaskInfo& info) {
    const std::string id = task_id(node, info.number);
    try {
        node.indices->create_system(std::string(kTasksIndex), kBody);
        const std::string document = one_task(node, info);
        io::WriteItem item;
        item.id = id;
        item.source = document;
        write(node, std::span(&item, 1));
    } catch (const std::exception& error) {
        spdlog::error("index {} lacks the result of task {}: {}; GET _tasks has it", kTasksIndex,
                      id, error.what());
    }
}

void drop(const Node& node, const std::vector<std::uint64_t>& numbers) {
    try {
        if (!node.indices->exists(std::string(kTasksIndex))) return;
        std::vector<std::string> ids;
        ids.reserve(numbers.size());
        for (const std::uint64_t number : numbers)
            ids.push_back(task_id(node, number));
        std::vector<io::WriteItem> items(ids.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            items[i].op = io::WriteOp::remove;
            items[i].id = ids[i];
        }
        write(node, items);
    } catch (const std::exception& error) {
        spdlog::error("old results of tasks are left in index {}: {}", kTasksIndex, error.what());
    }
}

}  // namespace

job::ResultHooks index_of_results(const Node& node) {
    return {[&node](const job::TaskInfo& info) { keep(node, info); },
            [&node](const std::vector<std::uint64_t>& numbers) { drop(node, numbers); }};
}

}  // namespace penstock::serve
