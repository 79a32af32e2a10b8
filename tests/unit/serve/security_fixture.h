// A node with users and keys, and requests in their names.
#pragma once

#include <gmock/gmock.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/authorization.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace fs = std::filesystem;

class Security : public ServeFixture {
  protected:
    Security() {
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog);
        node.credentials = std::make_shared<Credentials>(directory);
        for (const auto add : {add_root_routes, add_document_routes, add_bulk_routes,
                               add_index_routes, add_search_routes, add_security_routes})
            add(router, node);
        dispatch = make_dispatch(router, node);
    }
    ~Security() override { node.credentials.reset(); }

    /// As it comes over HTTP. `who`: the Authorization header; empty: none.
    Response ask(const std::string& who, const std::string& method, const std::string& target,
                 const std::string& text = {}) {
        Request request;
        request.method = method;
        const std::size_t mark = target.find('?');
        request.path = target.substr(0, mark);
        if (mark != std::string::npos) request.query = Parameters::parse(target.substr(mark + 1));
        request.headers["content-type"] = "application/json";
        if (!who.empty()) request.headers["authorization"] = who;
        TextBody body(text);
        request.body = &body;
        return boost::asio::co_spawn(
                   runtime.cpu(),
                   [&]() -> boost::asio::awaitable<Response> {
                       co_return co_await dispatch(request);
                   },
                   boost::asio::use_future)
            .get();
    }
    int status(const std::string& who, const std::string& method, const std::string& target,
               const std::string& body = {}) {
        return ask(who, method, target, body).status;
    }

    static std::string basic(const std::string& name_and_password) {
        static constexpr std::string_view alphabet =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string out = "Basic ";
        unsigned bits = 0;
        unsigned held = 0;
        for (const char byte : name_and_password + std::string(2, '\0')) {
            bits = bits << 8U | static_cast<unsigned char>(byte);
            for (held += 8; held >= 6; held -= 6)
                out.push_back(alphabet[bits >> (held - 6) & 63U]);
        }
        return out.substr(0, 6 + (name_and_password.size() * 4 + 2) / 3);
    }
    /// An Authorization header of a new key with these roles.
    std::string key(const std::string& roles) {
        ApiKeyRequest wanted;
        JsonBody body;
        body.parse(roles);
        wanted.name = "test";
        wanted.permissions = Permissions::of_roles(document::Value::object(&body.root()));
        return "ApiKey " + node.credentials->create_key(std::move(wanted)).encoded;
    }
    static std::string indices(const std::string& names, const std::string& privileges) {
        return R"({"r":{"indices":[{"names":[")" + names + R"("],"privileges":[)" + privileges +
               "]}]}}";
    }
    void put(const std::string& index, const std::string& id, const std::string& source) {
        const Response response = call("PUT", "/" + index + "/_doc/" + id, source);
        ASSERT_EQ(response.status, 201) << response.body;
    }
    fs::path file() const { return directory / "security.json"; }
    void write(const std::string& text) { std::ofstream(file()) << text; }
    static std::string member(const Response& response, const std::string& name) {
        const JsonTree tree = JsonTree::parse(response.body);
        const JsonTree* found = tree.find(name);
        return found == nullptr ? "" : found->content();
    }

    pipeline::Catalog catalog;
    std::function<boost::asio::awaitable<Response>(Request&)> dispatch;
    const std::string ada = basic("ada:lovelace");
};

}  // namespace penstock::serve
