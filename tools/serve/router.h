// Which handler answers which path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/http_message.h"

namespace penstock::serve {

/// Runs on the CPU pool. What it throws becomes the response: ApiError as it says, all else a 500.
using Handler = std::function<boost::asio::awaitable<Response>(Request&)>;

/// Whether a route asks who sends the request.
enum class Access {
    known,   ///< users and keys, where there are any
    anyone,  ///< probes of a load balancer have no password
};

/// Paths as Elasticsearch routes them: literal parts go before `{names}`, a path that is known with
/// other methods is answered with 405, and a parameter that the route does not name with 400.
/// Filled before the server starts; then only read.
class Router {
  public:
    Router();
    ~Router();
    Router(Router&&) noexcept;
    Router& operator=(Router&&) noexcept;

    /// `methods`: "GET POST"; GET answers HEAD too. `pattern`: "/{index}/_doc/{id}". `parameters`:
    /// of the query string, besides those that every request may have. Routes for anyone have
    /// literal parts only.
    void add(std::string_view methods, std::string_view pattern, Handler handler,
             std::vector<std::string> parameters = {}, Access access = Access::known);
    /// Whether the request's route is for anyone. Does not throw.
    bool is_public(const Request& request) const;

    /// Finds the handler, checks the parameters and fills request.parts and request.route. Throws
    /// ApiError.
    const Handler& find(Request& request) const;

  private:
    struct Node;
    std::unique_ptr<Node> root_;
};

}  // namespace penstock::serve
