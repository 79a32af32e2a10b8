// A task's record on disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/job/task_manager.h"

namespace penstock::job {

/// What stands in NUMBER.json.
struct TaskRecord {
    TaskInfo info;  ///< completed: it has ended
    std::chrono::system_clock::time_point ended;
};

std::string write_task_record(const TaskRecord& record);
/// Nothing when the text is not a record.
std::optional<TaskRecord> read_task_record(std::string_view text);

}  // namespace penstock::job
