// What a search makes of the indices it asks: how much each counts, and which of its documents.
#pragma once

#include <vector>

#include "engine/io/query.h"
#include "tools/serve/http_message.h"
#include "tools/serve/node.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// Boosts and slice of a request, for each of the parts. Throws ApiError 404 for an index to boost
/// that is not there, 403 for one that the request's principal may not search. Blocks.
void arrange_parts(Node& node, const Request& request, const SearchRequest& search,
                   const ExpandOptions& options, std::vector<io::SearchPart>& parts);

/// Reads the document that a terms query refers to, with the rights of the request, which must
/// outlive it. Throws ApiError 403 and 404. Blocks.
io::TermsLoader terms_loader(Node& node, const Request& request);

}  // namespace penstock::serve
