// What `human` and `error_trace` add.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/serve/fixture.h"
#include "tools/serve/response_format.h"
#include "tools/serve/units.h"

namespace penstock::serve {
namespace {

std::string formatted(const std::string& route, const std::string& query, const std::string& body) {
    Request request;
    request.method = "GET";
    request.path = route;
    request.route = route;
    request.query = Parameters::parse(query);
    Response response = Response::json(body);
    format_response(request, response);
    return response.body;
}

std::string human(const std::string& body, const std::string& route = "/_nodes/stats") {
    return formatted(route, "human", body);
}

TEST(HumanTest, SizesAndTimesComeBeforeTheirNumbers) {
    EXPECT_EQ(human(R"({"size_in_bytes":1536})"), R"({"size":"1.5kb","size_in_bytes":1536})");
    EXPECT_EQ(human(R"({"time_in_millis":1250})"), R"({"time":"1.2s","time_in_millis":1250})");
    EXPECT_EQ(human(R"({"model_size_bytes":0})"), R"({"model_size":"0b","model_size_bytes":0})");
    EXPECT_EQ(human(R"({"running_time_in_nanos":1500})"),
              R"({"running_time":"1.5micros","running_time_in_nanos":1500})");
    EXPECT_EQ(human(R"({"running_time_in_nanos":0})"),
              R"({"running_time":"0nanos","running_time_in_nanos":0})");
    EXPECT_EQ(human(R"({"throttled_millis":0,"throttled_until_millis":90000})"),
              R"({"throttled":"0ms","throttled_millis":0,)"
              R"("throttled_until":"1.5m","throttled_until_millis":90000})");
    EXPECT_EQ(human(R"({"max_in_bytes":-1,"x_in_millis":-1})"),
              R"({"max":"-1b","max_in_bytes":-1,"x":"-1","x_in_millis":-1})");
    EXPECT_EQ(human(R"([{"deep":{"used_in_bytes":1048576}}])"),
              R"([{"deep":{"used":"1mb","used_in_bytes":1048576}}])");
}

TEST(HumanTest, DatesAndVersionsOfSettings) {
    EXPECT_EQ(human(R"({"start_time_in_millis":0})"),
              R"({"start_time":"1970-01-01T00:00:00.000Z","start_time_in_millis":0})");
    EXPECT_EQ(human(R"({"index":{"creation_date":"86400000","version":{"created":"8000099"}}})",
                    "/{index}/_settings"),
              R"({"index":{"creation_date_string":"1970-01-02T00:00:00.000Z",)"
              R"("creation_date":"86400000",)"
              R"("version":{"created_string":"8.0.0","created":"8000099"}}})");
    EXPECT_EQ(human(R"({"index.creation_date":"0"})", "/{index}"),
              R"({"index.creation_date_string":"1970-01-01T00:00:00.000Z",)"
              R"("index.creation_date":"0"})");
    EXPECT_EQ(human(R"({"active_shards_percent_as_number":83.333})", "/_cluster/health"),
              R"({"active_shards_percent":"83.3%","active_shards_percent_as_number":83.333})");
}

TEST(HumanTest, WhatIsThereStaysAsItIs) {
    const std::string there = R"({"size":"big","size_in_bytes":1})";
    EXPECT_EQ(human(there), there);
    const std::string huge = R"({"x_in_millis":1.0E300,"y_in_bytes":-1.0E300})";
    EXPECT_EQ(human(huge), huge);
    const std::string text = R"({"size_in_bytes":"many","created":true})";
    EXPECT_EQ(human(text), text);
    const std::string own = R"({"a":{"mappings":{"_meta":{"x_in_millis":1}}}})";
    EXPECT_EQ(human(own, "/{index}"), own);
    const std::string document = R"({"size_in_bytes":1})";
    EXPECT_EQ(human(document, "/{index}/_source/{id}"), document);
    EXPECT_EQ(human(document, "/{index}/_search"), document);
    const std::string result = R"({"response":{"_source":{"size_in_bytes":1}}})";
    EXPECT_EQ(human(result, "/_tasks/{task_id}"), result);
    EXPECT_EQ(formatted("/_nodes/stats", "human=false", document), document);
    EXPECT_EQ(formatted("/_nodes/stats", "human&filter_path=size", document), R"({"size":"1b"})");
}

TEST(ErrorTraceTest, TellsTheCausesOfEveryError) {
    EXPECT_EQ(formatted("/_search", "error_trace",
                        R"({"error":{"root_cause":[{"type":"b","reason":"inner"}],"type":"a",)"
                        R"("reason":"outer","caused_by":{"type":"b","reason":"inner"}}})"),
              R"({"error":{"root_cause":[{"type":"b","reason":"inner","stack_trace":"b: inner"}],)"
              R"("type":"a","reason":"outer","caused_by":{"type":"b","reason":"inner",)"
              R"("stack_trace":"b: inner"},"stack_trace":"a: outer\nCaused by: b: inner"}})");
    const std::string hit = R"({"_source":{"type":"a","reason":"b"}})";
    EXPECT_EQ(formatted("/_search", "error_trace=true", hit), hit);
}

TEST(UnitsTest, OneDecimalThatIsCut) {
    EXPECT_EQ(bytes_text(1023), "1023b");
    EXPECT_EQ(bytes_text(1024), "1kb");
    EXPECT_EQ(bytes_text(1024 * 1.99), "1.9kb");
    EXPECT_EQ(bytes_text(5e9, "mb"), "4768");
    EXPECT_EQ(time_text(999), "999ms");
    EXPECT_EQ(time_text(86'400'000 * 1.5), "1.5d");
    EXPECT_THROW(bytes_text(1, "parsec"), ApiError);
}

}  // namespace
}  // namespace penstock::serve
