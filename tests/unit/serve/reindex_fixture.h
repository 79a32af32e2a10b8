// A node with tasks and the requests that copy, update and delete documents.
#pragma once

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/job/task_manager.h"
#include "processors/builtin.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/json_body.h"
#include "tools/serve/task_results.h"

namespace penstock::serve {

constexpr const char* kCopy = R"({"source":{"index":"a"},"dest":{"index":"b"}})";

class ReindexFixture : public ServeFixture {
  protected:
    ReindexFixture() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        node.publish_address = "127.0.0.1:9200";
        start();
        add_task_routes(router, node);
        add_reindex_routes(router, node);
    }
    ~ReindexFixture() override { node.tasks->stop(std::chrono::seconds(30)); }

    /// As a start of the server does.
    void start(std::size_t max_results = 1000) {
        open();
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
        node.tasks = std::make_shared<job::TaskManager>(
            job::TaskManagerOptions{.directory = directory / "tasks",
                                    .max_results = max_results,
                                    .results = index_of_results(node)});
    }

    /// Documents 1 to `count` with {"n": number, "kind": "even" or "odd"}.
    void fill(const std::string& index, int count) {
        std::vector<std::string> ids;
        std::vector<std::string> sources;
        for (int i = 1; i <= count; ++i) {
            ids.push_back(std::to_string(i));
            sources.push_back("{\"n\":" + std::to_string(i) + ",\"kind\":\"" +
                              (i % 2 == 0 ? "even" : "odd") + "\"}");
        }
        std::vector<io::WriteItem> items(ids.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            items[i].id = ids[i];
            items[i].source = sources[i];
        }
        std::vector<io::ItemResult> results;
        if (!node.store->exists(index)) node.indices->create(index, "");
        node.store->bulk(index, items, results);
    }

    /// A member of a JSON text by its dotted path, as JSON.
    static std::string at(const std::string& json, std::string_view path) {
        JsonBody body;
        body.parse(json);
        document::Value value = document::Value::object(&body.root());
        for (const std::string& part : split_list(path, '.')) {
            const document::Value* next = nullptr;
            if (value.is_object()) next = value.as_object().get(part);
            if (value.is_array() && std::stoul(part) < value.as_array().size())
                next = &value.as_array()[std::stoul(part)];
            if (next == nullptr) return "absent";
            value = *next;
        }
        return json_text(value);
    }

    std::string reason(const Response& response) const { return at(response.body, "error.reason"); }
    std::string source(const std::string& index, const std::string& id) {
        const auto found = node.store->get(index, id);
        return found ? found->source : "none";
    }
    /// The id of a task that a request without wait_for_completion began.
    std::string begin(const std::string& target, std::string body) {
        const Response response = call("POST", target, std::move(body));
        EXPECT_EQ(response.status, 200) << response.body;
        const std::string id = at(response.body, "task");
        return id.substr(1, id.size() - 2);
    }

    pipeline::Catalog catalog_;
};

}  // namespace penstock::serve
