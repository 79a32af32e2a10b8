// What a reindex, update by query or delete by query comes to on this node.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/job/reindex.h"
#include "tools/serve/node.h"
#include "tools/serve/reindex_request.h"

namespace penstock::serve {

struct ReindexPlan {
    std::vector<std::string> indices;  ///< concrete
    /// What an index had when a job that writes back began: its own writes come behind.
    std::map<std::string, std::uint64_t> last_offsets;
    /// By index: filters of the aliases by which alone it was named, one of which must hold.
    std::map<std::string, std::vector<std::string>> filters;
    std::string dest;  ///< concrete; empty: back to where documents come from
    std::size_t slices = 1;
    bool confined = false;  ///< pipelines send nothing elsewhere
    /// Documents are those that searches saw when the job began, where these do not see everything.
    bool as_searched = false;
};

/// Names to indices. Blocks. Throws ApiError for what cannot be on this node.
ReindexPlan make_plan(Node& node, const ReindexRequest& request);

/// Opens sources and sink, and makes the destination when there is something to read; finds the
/// pipelines. `rate` tells the requests per second as they are by then, for the pauses of a remote.
/// Blocks. Throws ApiError.
job::ReindexParts make_parts(Node& node, const ReindexRequest& request, const ReindexPlan& plan,
                             std::function<double()> rate);

job::ReindexSettings make_settings(const ReindexRequest& request, const ReindexPlan& plan,
                                   const job::ReindexParts& parts);

/// Which pipeline it is, and of when: a resume with another one would be two jobs in one index.
/// All else that decides the result is in the task's record.
std::string reindex_fingerprint(const Node& node, const ReindexRequest& request);

}  // namespace penstock::serve
