// What a principal may ask for.
#pragma once

#include <string>

#include "tools/serve/authentication.h"
#include "tools/serve/http_message.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// Fills request.principal from its Authorization header. Throws ApiError 401. Does nothing when
/// nobody has to say who they are.
void authenticate(Node& node, Request& request);
/// Whether request.principal may use this route, and the indices that its path names. Throws
/// ApiError 403. Whoever takes names of indices from a body asks authorize_index for each.
void authorize(Node& node, const Request& request);
/// For one concrete index.
void authorize_index(const Request& request, const std::string& index);

}  // namespace penstock::serve
