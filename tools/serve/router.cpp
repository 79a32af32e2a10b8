#include "tools/serve/router.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "engine/document/json.h"
#include "engine/pipeline/diagnostic.h"
#include "tools/serve/api_error.h"

namespace penstock::serve {

namespace {

constexpr std::array<std::string_view, 7> kCommonParameters{
    "pretty", "human", "error_trace", "format", "filter_path", "source", "source_content_type"};

struct Route {
    std::string pattern;
    std::vector<std::string> names;  ///< of the wildcards, in order
    std::vector<std::string> parameters;
    Handler handler;
    Access access;
};

[[noreturn]] void unknown_parameters(const Request& request, const Route& route,
                                     const std::vector<std::string>& unknown) {
    std::string reason = "request [" + request.path + "] contains unrecognized parameter" +
                         (unknown.size() > 1 ? "s: " : ": ");
    for (std::size_t i = 0; i < unknown.size(); ++i) {
        std::vector<std::string_view> known(route.parameters.begin(), route.parameters.end());
        const std::string_view near = pipeline::nearest(unknown[i], known);
        reason += (i > 0 ? ", [" : "[") + unknown[i] + "]";
        if (!near.empty()) reason += " -> did you mean [" + std::string(near) + "]?";
    }
    throw illegal_argument(reason);
}

void check_parameters(const Request& request, const Route& route) {
    std::vector<std::string> unknown;
    for (std::string& name : request.query.names()) {
        const auto is_name = [&](std::string_view known) { return known == name; };
        if (std::none_of(kCommonParameters.begin(), kCommonParameters.end(), is_name) &&
            std::none_of(route.parameters.begin(), route.parameters.end(), is_name))
            unknown.push_back(std::move(name));
    }
    if (!unknown.empty()) unknown_parameters(request, route, unknown);
}

}  // namespace

struct Router::Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> wildcard;
    std::map<std::string, Route, std::less<>> routes;  ///< by method

    const Route* route(std::string_view method) const {
        const auto found = routes.find(method);
        return found == routes.end() ? nullptr : &found->second;
    }

    /// The first that has the method, in the order in which literals go before wildcards; its
    /// wildcards' values are in `values`. `others` gathers what methods the path has otherwise.
    const Route* match(const std::vector<std::string>& parts, std::size_t at,
                       std::string_view method, std::vector<std::string>& values,
                       std::set<std::string, std::less<>>& others) const {
        if (at == parts.size()) {
            for (const auto& [name, route] : routes)
                others.insert(name);
            return route(method);
        }
        if (const auto next = literals.find(parts[at]); next != literals.end()) {
            const Route* found = next->second->match(parts, at + 1, method, values, others);
            if (found != nullptr) return found;
        }
        if (!wildcard) return nullptr;
        values.push_back(parts[at]);
        const Route* found = wildcard->match(parts, at + 1, method, values, others);
        if (found == nullptr) values.pop_back();
        return found;
    }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(std::string_view methods, std::string_view pattern, Handler handler,
                 std::vector<std::string> parameters, Access access) {
    Node* node = root_.get();
    Route route{std::string(pattern), {}, std::move(parameters), std::move(handler), access};
    for (const std::string& part : split_list(pattern, '/')) {
        std::unique_ptr<Node>* next = &node->wildcard;
        if (part.front() == '{') {
            route.names.push_back(part.substr(1, part.size() - 2));
        } else {
            next = &node->literals[part];
        }
        if (!*next) *next = std::make_unique<Node>();
        node = next->get();
    }
    for (const std::string& method : split_list(methods, ' '))
        node->routes.insert_or_assign(method, route);
}

bool Router::is_public(const Request& request) const {
    const Node* node = root_.get();
    for (const std::string& part : split_list(request.path, '/')) {
        const auto next = node->literals.find(part);
        if (next == node->literals.end()) return false;
        node = next->second.get();
    }
    const Route* route = node->route(request.method == "HEAD" ? "GET" : request.method);
    return route != nullptr && route->access == Access::anyone;
}

const Handler& Router::find(Request& request) const {
    std::vector<std::string> parts = split_list(request.path, '/');
    for (std::string& part : parts)
        part = decode_percent(part, false);
    std::vector<std::string> values;
    std::set<std::string, std::less<>> others;
    const Route* route = root_->match(parts, 0, request.method, values, others);
    if (route == nullptr && request.method == "HEAD")
        route = root_->match(parts, 0, "GET", values, others);
    if (route == nullptr && others.empty()) {
        throw ApiError(
            400, "illegal_argument_exception",
            "no handler found for uri [" + request.path + "] and method [" + request.method + "]")
            .plain();
    }
    if (route == nullptr) {
        std::string allowed;
        for (const std::string& method : others)
            allowed += (allowed.empty() ? "" : ", ") + method;
        throw ApiError(405, "illegal_argument_exception",
                       "Incorrect HTTP method for uri [" + request.path + "] and method [" +
                           request.method + "], allowed: [" + allowed + "]")
            .plain()
            .header("Allow", allowed);
    }
    check_parameters(request, *route);
    for (std::size_t i = 0; i < route->names.size(); ++i)
        request.parts.insert_or_assign(route->names[i], values[i]);
    request.route = route->pattern;
    return route->handler;
}

}  // namespace penstock::serve
