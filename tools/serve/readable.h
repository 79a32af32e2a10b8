// What `human` and `error_trace` add to a response.
#pragma once

#include <string_view>

#include "engine/document/arena.h"
#include "engine/document/value.h"

namespace penstock::serve {

/// True for routes whose responses have sizes and times that `human` is about: statistics, tasks,
/// settings. Others have documents, in which nothing is to be added.
bool has_readable_values(std::string_view route);

/// A response with a member for people before each size and time, named as Elasticsearch names it:
/// `uptime` of `uptime_in_millis`, `size` of `size_in_bytes`, `throttled` of `throttled_millis`,
/// `creation_date_string` of `creation_date`. Made in the arena.
document::Value with_readable_values(document::Value response, document::Arena& arena);

/// A response in which each error object (`type` and `reason`) says in `stack_trace` what led to
/// it. This server has no Java stack: the trace is the chain of its causes, outermost first.
document::Value with_stack_traces(document::Value response, document::Arena& arena);

}  // namespace penstock::serve
