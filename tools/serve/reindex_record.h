// What is kept with the task of a reindex, so that a later process can go on with it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/io/remote_source.h"
#include "tools/serve/reindex_plan.h"

namespace penstock::serve {

/// The request as it came.
struct ReindexOrigin {
    ReindexKind kind = ReindexKind::reindex;
    std::string index;  ///< of the path
    Parameters query;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  ///< that the task shows
    bool confined = false;  ///< whoever asks may use some indices only: nothing goes elsewhere
};

/// A remote's credentials are not written to the disk, where they would outlive the task in backups
/// and copies, and its scroll is gone with the process: such a job is not gone on with, and its
/// record says no more than why.
std::string write_remote_record(const io::RemoteAddress& address);
std::string write_record(const ReindexOrigin& origin, const ReindexPlan& plan);
/// Throws Error with words for what cannot be gone on with, and ApiError for what is no JSON.
void read_record(const std::string& text, ReindexOrigin& origin, ReindexPlan& plan);

}  // namespace penstock::serve
