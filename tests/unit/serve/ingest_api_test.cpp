// Pipelines as clients put, read, try and delete them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/pipeline/definition.h"
#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/geoip_databases.h"
#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

class IngestApi : public ServeFixture {
  protected:
    IngestApi() {
        processors::add_builtin(catalog_);
        node.catalog = &catalog_;
        reopen();
        add_ingest_routes(router, node);
    }
    void reopen() {
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_);
    }

    pipeline::Catalog catalog_;
};

constexpr const char* kOne =
    R"({"description":"d","processors":[{"set":{"field":"a","value":2}}]})";

TEST_F(IngestApi, PutsGetsAndDeletes) {
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/one", kOne).body, R"({"acknowledged":true})");
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").body, std::string("{\"one\":") + kOne + "}");
    EXPECT_EQ(
        call("PUT", "/_ingest/pipeline/o%2Fdd", "processors:\n  - set: {field: b, value: yes}\n")
            .status,
        200);
    EXPECT_EQ(
        call("GET", "/_ingest/pipeline/o*?filter_path=x").body,
        std::string(R"({"o/dd":{"processors":[{"set":{"field":"b","value":"yes"}}]},"one":)") +
            kOne + "}");
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one?summary").body, R"({"one":{}})");
    reopen();
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 200) << "kept on disk";
    EXPECT_EQ(call("DELETE", "/_ingest/pipeline/o*").status, 200);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").body, "{}");
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 404);
    EXPECT_EQ(call("GET", "/_ingest/pipeline").status, 200);
    const Response missing = call("DELETE", "/_ingest/pipeline/o*");
    EXPECT_EQ(missing.status, 404);
    EXPECT_THAT(missing.body, HasSubstr(R"("reason":"pipeline [o*] is missing")"));
    EXPECT_EQ(call("DELETE", "/_ingest/pipeline/*").status, 200);
    reopen();
    EXPECT_EQ(call("GET", "/_ingest/pipeline").body, "{}");
}

/// Of a definition file, which is not ours to change.
TEST_F(IngestApi, WhatAFileBringsStaysDeletedUntilTheFileChanges) {
    const auto start = [&](const std::string& text) {
        pipeline::Diagnostics diagnostics;
        auto definition = pipeline::parse_definition(text, "one.json", "one", diagnostics);
        ASSERT_TRUE(definition) << diagnostics.text();
        std::vector<pipeline::PipelineDefinition> shipped;
        shipped.push_back(std::move(*definition));
        node.pipelines = std::make_shared<PipelineRegistry>(directory / "pipelines", catalog_,
                                                            std::move(shipped));
    };
    const std::string newer = R"({"processors":[{"set":{"field":"a","value":3}}]})";
    start(kOne);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 200);
    EXPECT_EQ(call("DELETE", "/_ingest/pipeline/one").status, 200);
    start(kOne);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 404);
    start(newer);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 200) << "the file has changed";
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/one", kOne).status, 200);
    EXPECT_EQ(call("DELETE", "/_ingest/pipeline/one").status, 200);
    start(newer);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/one").status, 404);
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/one", kOne).status, 200);
    start(newer);
    EXPECT_THAT(call("GET", "/_ingest/pipeline/one").body, HasSubstr(R"("value":2)"))
        << "it was put again";
}

TEST_F(IngestApi, RefusesInTheReferencesShape) {
    const Response missing =
        call("PUT", "/_ingest/pipeline/p", R"({"processors":[{"set":{"value":1,"tag":"t"}}]})");
    EXPECT_EQ(missing.status, 400);
    EXPECT_THAT(
        missing.body,
        testing::StartsWith(
            R"({"error":{"root_cause":[{"type":"parse_exception","reason":"[field] required property is missing","processor_type":"set","processor_tag":"t","property_name":"field")"));
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p", R"({"processors":[], "on_failure":[]})").body,
                HasSubstr("pipeline [p] cannot have an empty on_failure option defined"));
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p",
                     R"({"processors":[{"set":{"field":"a","value":1,"on_failure":[]}}]})")
                    .body,
                HasSubstr("[on_failure] processors list cannot be empty"));
    const Response two =
        call("PUT", "/_ingest/pipeline/p", R"({"processors":[{"set":{"value":1}},{"nosuch":{}}]})");
    EXPECT_THAT(two.body, HasSubstr("more_mistakes")) << "all at once";
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/p", "{").status, 400);
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/p").status, 400);
    EXPECT_EQ(call("GET", "/_ingest/pipeline/p").status, 404) << "nothing was stored";
}

TEST_F(IngestApi, PutsOnlyOverTheVersionThatIsMeant) {
    const auto version = [](int number) {
        return R"({"processors":[],"version":)" + std::to_string(number) + "}";
    };
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p?if_version=1", version(1)).body,
                HasSubstr("required version [1] for pipeline [p] but no pipeline was found"));
    call("PUT", "/_ingest/pipeline/p", version(1));
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p?if_version=7", version(2)).body,
                HasSubstr("but current version is [1]"));
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p?if_version=1", version(1)).body,
                HasSubstr("cannot update pipeline [p] with the same version [1]"));
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/p?if_version=1", version(2)).status, 200);
    call("PUT", "/_ingest/pipeline/p?if_version=2", R"({"processors":[]})");
    EXPECT_EQ(call("GET", "/_ingest/pipeline/p").body, R"({"p":{"processors":[],"version":3}})");
    reopen();
    EXPECT_EQ(call("PUT", "/_ingest/pipeline/p?if_version=3", version(4)).status, 200);
    call("PUT", "/_ingest/pipeline/p", R"({"processors":[]})");
    EXPECT_THAT(call("PUT", "/_ingest/pipeline/p?if_version=4", version(5)).body,
                HasSubstr("but no version was found"));
}

TEST_F(IngestApi, CallsWhatIsPutLaterAndAfterItChanges) {
    call("PUT", "/_ingest/pipeline/outer", R"({"processors":[{"pipeline":{"name":"inner"}}]})");
    const std::string docs = R"({"docs":[{"_source":{}}]})";
    EXPECT_THAT(call("POST", "/_ingest/pipeline/outer/_simulate", docs).body,
                HasSubstr("Pipeline processor configured for non-existent pipeline [inner]"));
    call("PUT", "/_ingest/pipeline/inner", kOne);
    EXPECT_THAT(call("POST", "/_ingest/pipeline/outer/_simulate", docs).body,
                HasSubstr(R"("_source":{"a":2})"));
    call("PUT", "/_ingest/pipeline/inner", R"({"processors":[{"set":{"field":"a","value":3}}]})");
    EXPECT_THAT(call("POST", "/_ingest/pipeline/outer/_simulate", docs).body,
                HasSubstr(R"("_source":{"a":3})"));
    call("PUT", "/_ingest/pipeline/inner", R"({"processors":[{"pipeline":{"name":"outer"}}]})");
    EXPECT_THAT(call("POST", "/_ingest/pipeline/outer/_simulate", docs).body,
                HasSubstr("Cycle detected for pipeline: outer"));
    call("DELETE", "/_ingest/pipeline/inner");
    EXPECT_THAT(call("POST", "/_ingest/pipeline/outer/_simulate", docs).body,
                HasSubstr("non-existent pipeline [inner]"));
    for (const auto& one : node.pipelines->statistics()) {
        EXPECT_EQ(one.id, "outer");
        EXPECT_EQ(one.count, 5U) << "over all its compilations";
    }
}

TEST_F(IngestApi, KnowsGrokPatterns) {
    const std::string all = call("GET", "/_ingest/processor/grok").body;
    EXPECT_THAT(all, HasSubstr(R"x("PATH":"(?:%{UNIXPATH}|%{WINPATH})")x"));
    EXPECT_THAT(call("GET", "/_ingest/processor/grok?ecs_compatibility=v1").body,
                HasSubstr("%{IPORHOST:source.address}"));
    EXPECT_EQ(call("GET", "/_ingest/processor/grok?ecs_compatibility=v2").status, 400);
}

TEST_F(IngestApi, KnowsGeoIpDatabases) {
    EXPECT_THAT(call("GET", "/_ingest/geoip/stats").body, HasSubstr(R"("databases_count":0)"));
    EXPECT_EQ(call("GET", "/_ingest/geoip/database").body, R"({"databases":[]})");
    EXPECT_THROW(processors::GeoIpDatabases(directory / "gone"), Error);
    std::filesystem::create_directory(directory / "geoip");
    std::ofstream(directory / "geoip" / "text.mmdb") << "no database";
    EXPECT_THROW(processors::GeoIpDatabases(directory / "geoip"), Error);
}

TEST_F(IngestApi, KnowsGeoIpDatabasesOfThisMachine) {
    const std::filesystem::path shared =
        std::filesystem::path(PENSTOCK_SOURCE_DIR) / "../shared/geoip/integrations";
    if (!std::filesystem::exists(shared))
        GTEST_SKIP() << "the databases at " << shared << " are not beside this checkout";
    node.geoip = std::make_shared<processors::GeoIpDatabases>(shared);
    EXPECT_THAT(call("GET", "/_ingest/geoip/stats").body, HasSubstr(R"("databases_count":3)"));
    EXPECT_THAT(call("GET", "/_ingest/geoip/database/*City*").body,
                HasSubstr(R"("database":{"name":"GeoLite2-City.mmdb","local":{"type":")"));
}

TEST_F(IngestApi, Simulates) {
    const std::string body =
        std::string(R"({"pipeline":)") + kOne +
        R"(,"docs":[{"_index":"i","_id":"x","_source":{"b":871.995}},{"_source":{"b":1}}]})";
    const Response plain = call("POST", "/_ingest/pipeline/_simulate", body);
    EXPECT_EQ(plain.status, 200);
    EXPECT_THAT(plain.body,
                testing::StartsWith(R"({"docs":[{"doc":{"_index":"i","_id":"x","_version":"-3",)"));
    EXPECT_THAT(plain.body, HasSubstr(R"("_source":{"b":871.995,"a":2})"));
    EXPECT_THAT(call("POST", "/_ingest/pipeline/_simulate?verbose=true", body).body,
                HasSubstr(R"("processor_results":[{"processor_type":"set","status":"success")"));
    EXPECT_THAT(call("POST", "/_ingest/pipeline/none/_simulate", body).body,
                HasSubstr("pipeline [none] does not exist"));
    EXPECT_THAT(
        call("POST", "/_ingest/pipeline/_simulate", R"({"docs":[{"_source":{}}]})").body,
        HasSubstr(
            R"("reason":"[pipeline] required property is missing","property_name":"pipeline")"));
    const std::string with_pipeline = std::string(R"({"pipeline":)") + kOne;
    EXPECT_THAT(call("POST", "/_ingest/pipeline/_simulate", with_pipeline + "}").body,
                HasSubstr("[docs] required property is missing"));
    EXPECT_THAT(call("POST", "/_ingest/pipeline/_simulate", with_pipeline + R"(,"docs":[]})").body,
                HasSubstr("must specify at least one document in [docs]"));
    EXPECT_THAT(call("POST", "/_ingest/pipeline/_simulate", with_pipeline + R"(,"docs":[1]})").body,
                HasSubstr("malformed [docs] section, should include an inner object"));
    EXPECT_THAT(
        call("POST", "/_ingest/pipeline/_simulate", with_pipeline + R"(,"docs":[{}]})").body,
        HasSubstr("[_source] required property is missing"));
}

}  // namespace
}  // namespace penstock::serve
