// What is wrong with a write before anything is looked up.
#pragma once

#include <string>
#include <vector>

namespace penstock::serve {

struct WriteRequest;

/// Of an update that names a version, and of other writes that do so without a type for it.
constexpr const char* kNoInternalVersioning =
    "internal versioning can not be used for optimistic concurrency control. Please use "
    "`if_seq_no` and `if_primary_term` instead";

/// Versions and conditions that cannot be, in Elasticsearch's words; empty when all is well.
std::vector<std::string> problems_of(const WriteRequest& write);

}  // namespace penstock::serve
