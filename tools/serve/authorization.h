// What a principal may ask for.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/authentication.h"
#include "tools/serve/http_message.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// Fills request.principal from its Authorization header. Throws ApiError 401, and 429 when too
/// many passwords wait to be checked. Does nothing when nobody has to say who they are.
boost::asio::awaitable<void> authenticate(Node& node, Request& request);
/// Whether request.principal may use this route, and the indices that its path names. Throws
/// ApiError 403. A pattern there, or none where that is all indices, becomes the names that the
/// principal may use, if these are not all. Whoever takes names of indices from a body asks
/// authorize_names for them, and authorize_index for what they reach.
void authorize(Node& node, Request& request);
/// The options, so that patterns do not reach hidden indices for which the principal lacks what the
/// route takes: those are passed over, as Elasticsearch does.
ExpandOptions within_rights(const Request& request, ExpandOptions options);
/// For an index or alias by its own name.
void authorize_index(const Request& request, const std::string& name);
/// For an index that `expression` reaches: by its own name, or through aliases that the principal
/// may use, as Elasticsearch grants it.
void authorize_index(Node& node, const Request& request, const std::string& index,
                     std::string_view expression);
/// The same for other privileges than the route's own.
void authorize_index(Node& node, const Request& request, unsigned privileges,
                     const std::string& index, std::string_view expression);
/// For names that a body brings, before anybody looks for them: whoever may not use one is told so,
/// be there such an index or not. Answers the expression to go on with, whose patterns reach what
/// the principal may use.
std::string authorize_names(Node& node, const Request& request, std::string_view expression);
std::string authorize_names(Node& node, const Request& request, unsigned privileges,
                            std::string_view expression);
/// For making an index that a write names.
void authorize_auto_create(const Request& request, const std::string& index);
/// Whether all that it may do is with some indices.
bool is_limited(const Request& request);
/// Whether an alias of an index may be shown: the index may be used, or the alias by its name.
bool sees_alias(const Request& request, const std::string& index, const std::string& alias);
/// For adding or removing an alias of this name (or names, with `*`).
void authorize_alias(const Request& request, const std::string& alias);
/// For what reaches everybody's.
void authorize_all_indices(const Request& request);

/// A route of which authorize() knows what it takes; all others take everything.
struct GuardedRoute {
    std::string_view methods;  ///< "GET POST"
    std::string_view pattern;
};
std::vector<GuardedRoute> guarded_routes();

}  // namespace penstock::serve
