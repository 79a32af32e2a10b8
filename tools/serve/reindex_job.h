// A reindex, update by query or delete by query as a task of the server.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/job/reindex.h"
#include "engine/job/task_manager.h"
#include "tools/serve/node.h"
#include "tools/serve/reindex_record.h"

namespace penstock::serve {

/// One that has begun. Its answer is there when the task has ended.
struct ReindexRun {
    std::shared_ptr<job::Task> task;
    std::shared_ptr<job::TaskManager> tasks;
    std::shared_ptr<job::Reindex> reindex;
    ReindexKind kind = ReindexKind::reindex;
    std::vector<std::shared_ptr<job::Task>> slices;  ///< children; none for one slice
    std::function<void()> refresh;                   ///< at the end, if it is asked for
    std::string remote;  ///< address of the cluster that is read; empty: this one
    std::string body;    ///< of the response
    int status = 200;    ///< likewise
};

/// Checks what only the node can tell (indices, pipelines), begins a task and lets it run on the
/// CPU pool; awaited on any executor. Throws ApiError.
boost::asio::awaitable<std::shared_ptr<ReindexRun>> start_reindex(Node& node,
                                                                  ReindexRequest request,
                                                                  ReindexOrigin origin);

/// Once, when the node's pipelines and deployments are there and before it serves: goes on with the
/// jobs that an earlier process has left, each under its id and from its checkpoint. One that
/// cannot be gone on with becomes a failed task that says why. Returns at once; `node` outlives the
/// work.
void resume_reindex_tasks(Node& node);

}  // namespace penstock::serve
