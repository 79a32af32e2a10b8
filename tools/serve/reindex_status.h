// Statuses and responses of reindex, update by query and delete by query, as Elasticsearch has
// them.
#pragma once

#include <cstddef>
#include <string>

#include "engine/job/reindex.h"

namespace penstock::serve {

/// The task's status.
std::string reindex_status_json(const job::ReindexStatus& status, bool cancelled);
/// That of the child task of one slice.
std::string slice_status_json(const job::ReindexStatus& status, std::size_t slice);
/// The body of the response, and its HTTP status: the highest of the failures.
std::string reindex_response_json(const job::ReindexStatus& status, bool cancelled);
int reindex_response_status(const job::ReindexStatus& status);

}  // namespace penstock::serve
