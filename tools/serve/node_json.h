// Definitions' trees as JSON.
#pragma once

#include <string>

#include "engine/pipeline/node.h"

namespace penstock::serve {

/// Compact, members in their own order, numbers as they are written.
std::string to_json(const pipeline::Node& node);

}  // namespace penstock::serve
