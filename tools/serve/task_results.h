// Results of tasks as documents.
#pragma once

#include "engine/job/task_manager.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// Keeps each result as a document of the index `.tasks` too, with the task's id, where clients of
/// Elasticsearch look for it; made with the first one. The records stay what tasks are told and
/// gone on with by: what cannot be written here is logged and lacks here alone. `node` outlives the
/// tasks.
job::ResultHooks index_of_results(const Node& node);

}  // namespace penstock::serve
