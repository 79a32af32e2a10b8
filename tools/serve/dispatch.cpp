#include <spdlog/spdlog.h>

#include <boost/system/system_error.hpp>
#include <new>

#include "engine/inference/inference_error.h"
#include "engine/runtime/await.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/http_server.h"
#include "tools/serve/index_registry.h"
#include "tools/serve/node.h"
#include "tools/serve/response_format.h"

namespace penstock::serve {

namespace {

/// The exception being handled.
Response refused() {
    try {
        throw;
    } catch (const ApiError& error) {
        return error_response(error);
    } catch (const boost::system::system_error&) {
        throw;  // the client has gone, or the server ends
    } catch (const StorageError& error) {
        // Not the request's fault: who sends it again later may succeed.
        return error_response(
            ApiError(503, "unavailable_shards_exception", error.what()).retry_after(1));
    } catch (const Error& error) {
        return error_response(ApiError(400, "illegal_argument_exception", error.what()));
    } catch (const std::bad_alloc&) {
        return error_response(
            ApiError(429, "circuit_breaking_exception", "not enough memory").retry_after(1));
    } catch (const std::exception& error) {
        spdlog::error("a request failed by a fault of the server: {}", error.what());
        return error_response(ApiError(500, "exception", error.what()));
    }
}

/// Names of indices in the path may have date mathematics.
void resolve_names(const Node& node, Request& request) {
    const auto index = request.parts.find("index");
    if (node.indices && index != request.parts.end())
        index->second = node.indices->resolve_names(index->second);
}

boost::asio::awaitable<Response> answer(const Router& router, Node& node, Request& request) {
    const auto begin = std::chrono::steady_clock::now();
    Response response;
    try {
        if (!router.is_public(request)) co_await authenticate(node, request);
        check_media_types(request);
        check_common_parameters(request);
        const Handler& handler = router.find(request);
        resolve_names(node, request);
        // Who may use some indices only has their names looked up, which waits for files.
        if (is_limited(request)) {
            co_await runtime::call_on(node.runtime->blocking(), [&] { authorize(node, request); });
        } else {
            authorize(node, request);
        }
        response = co_await handler(request);
    } catch (...) {
        response = refused();
    }
    try {
        format_response(request, response);
    } catch (...) {
        response = refused();
    }
    if (node.compat.is_elasticsearch())
        response.headers.emplace_back("X-Elastic-Product", "Elasticsearch");
    if (node.log) node.log(request, response, std::chrono::steady_clock::now() - begin);
    co_return response;
}

}  // namespace

std::function<boost::asio::awaitable<Response>(Request&)> make_dispatch(const Router& router,
                                                                        Node& node) {
    return [&router, &node](Request& request) { return answer(router, node, request); };
}

}  // namespace penstock::serve
