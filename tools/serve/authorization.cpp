#include "tools/serve/authorization.h"

#include <algorithm>
#include <array>

#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

constexpr std::string_view kChallenge =
    R"({"WWW-Authenticate":["Basic realm=\"security\", charset=\"UTF-8\"","ApiKey"]})";

ApiError unauthenticated(const std::string& reason) {
    return ApiError(401, "security_exception", reason)
        .with("header", std::string(kChallenge))
        .header("WWW-Authenticate", "Basic realm=\"security\", charset=\"UTF-8\"")
        .header("WWW-Authenticate", "ApiKey");
}

std::string who(const Principal& principal) {
    return (principal.is_key ? "API key id [" : "user [") + principal.name + "]";
}

ApiError forbidden(const Request& request, const std::string& more) {
    return {403, "security_exception",
            "action [" + request.method + " " + std::string(request.route) +
                "] is unauthorized for " + who(*request.principal) + more};
}

/// Requests that change nothing although they are no GET.
bool only_reads(const Request& request) {
    if (request.method == "GET" || request.method == "HEAD") return true;
    static constexpr std::array<std::string_view, 11> reading{"/_search",
                                                              "/_count",
                                                              "/_msearch",
                                                              "/_mget",
                                                              "/_pit",
                                                              "/_simulate",
                                                              "/_infer",
                                                              "/_search/scroll",
                                                              "/point_in_time",
                                                              "/_inference/{id}",
                                                              "/_inference/text_embedding/{id}"};
    const auto ends = [&](std::string_view end) { return request.route.ends_with(end); };
    if (request.method == "DELETE")
        return ends("/_search/scroll") || ends("/_pit") || ends("/point_in_time");
    return std::any_of(reading.begin(), reading.end(), ends) && request.method == "POST";
}

/// Routes without an index in their path that ask for each index of their body themselves, or have
/// nothing to do with any.
bool checks_by_itself(const Request& request) {
    static constexpr std::array<std::string_view, 11> routes{"/",
                                                             "/_bulk",
                                                             "/_mget",
                                                             "/_search",
                                                             "/_count",
                                                             "/_msearch",
                                                             "/_search/scroll",
                                                             "/_pit",
                                                             "/_search/point_in_time",
                                                             "/_security/_authenticate",
                                                             "/_health"};
    // What is deleted without a name may be everybody's.
    return request.method != "DELETE" &&
           std::find(routes.begin(), routes.end(), request.route) != routes.end();
}

}  // namespace

void authenticate(Node& node, Request& request) {
    if (node.credentials == nullptr || node.credentials->empty()) return;
    const std::string header = request.header("authorization");
    if (header.empty()) {
        throw unauthenticated("missing authentication credentials for REST request [" +
                              request.path + "]");
    }
    request.principal = node.credentials->authenticate(header);
    if (request.principal == nullptr) {
        throw unauthenticated(
            "unable to authenticate with provided credentials for REST request [" + request.path +
            "]");
    }
}

void authorize(Node& node, const Request& request) {
    if (request.principal == nullptr) return;
    const Permissions& permissions = request.principal->permissions;
    if (permissions.read_only && !only_reads(request))
        throw forbidden(request, ": it may only read");
    if (!permissions.limited()) return;
    const std::string& named = request.part("index");
    if (named.empty()) {
        if (checks_by_itself(request)) return;
        throw forbidden(request, ": it is for some indices only, and this request is of none");
    }
    if (permissions.allows_index(named) && named.find_first_of("*,") == std::string::npos) return;
    std::vector<std::string> indices;
    try {
        indices = node.indices->expand(named);
    } catch (const ApiError&) {
        throw forbidden(request, " on indices [" + named + "]");  // whether they exist is not told
    }
    for (const std::string& index : indices)
        authorize_index(request, index);
}

void authorize_index(const Request& request, const std::string& index) {
    if (request.principal == nullptr || request.principal->permissions.allows_index(index)) return;
    throw forbidden(request, " on indices [" + index + "]");
}

}  // namespace penstock::serve
