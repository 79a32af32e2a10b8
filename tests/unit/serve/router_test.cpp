// Paths to handlers, and what every request may ask of its response.
#include "tools/serve/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/serve/fixture.h"
#include "tools/serve/response_format.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;

Handler named(std::string name) {
    return [name](Request& request) -> boost::asio::awaitable<Response> {
        std::string text = name;
        for (const auto& [part, value] : request.parts)
            text += " " + part + "=" + value;
        co_return Response::json(text);
    };
}

class RouterTest : public ServeFixture {
  protected:
    RouterTest() {
        router.add("GET", "/", named("root"));
        router.add("GET PUT", "/{index}", named("index"), {"timeout"});
        router.add("POST", "/_bulk", named("bulk"), {"pipeline", "refresh"});
        router.add("GET", "/{index}/_doc/{id}", named("doc"));
        router.add("GET", "/_tasks/{task}", named("task"));
        router.add("POST", "/{index}/{word}/_search", named("odd"));
    }
};

TEST_F(RouterTest, LiteralsGoBeforeNames) {
    EXPECT_EQ(call("GET", "/").body, "root");
    EXPECT_EQ(call("GET", "/books").body, "index index=books");
    EXPECT_EQ(call("POST", "/_bulk?refresh=true").body, "bulk");
    EXPECT_EQ(call("GET", "/_bulk").body, "index index=_bulk") << "the way back to a wildcard";
    EXPECT_EQ(call("GET", "/a%2Fb%20c/_doc/x%3Fy").body, "doc id=x?y index=a/b c");
    EXPECT_EQ(call("HEAD", "/books").body, "index index=books");
    EXPECT_EQ(call("GET", "/books/").body, "index index=books");
}

TEST_F(RouterTest, SaysWhatItDoesNotKnow) {
    const Response wrong_method = call("DELETE", "/_bulk");
    EXPECT_EQ(wrong_method.status, 405);
    EXPECT_EQ(wrong_method.body,
              R"({"error":"Incorrect HTTP method for uri [/_bulk] and method [DELETE], )"
              R"(allowed: [GET, POST, PUT]","status":405})");
    EXPECT_EQ(call("GET", "/a/b/c/d").body,
              R"({"error":"no handler found for uri [/a/b/c/d] and method [GET]","status":400})");
    EXPECT_THAT(call("POST", "/_bulk?pipelin=x").body,
                HasSubstr("request [/_bulk] contains unrecognized parameter: [pipelin] -> did you "
                          "mean [pipeline]?"));
    EXPECT_THAT(call("POST", "/_bulk?a=1&b=2").body,
                HasSubstr("contains unrecognized parameters: [a], [b]"));
    EXPECT_EQ(call("POST", "/_bulk?pretty&filter_path=a").body, "bulk");
    EXPECT_THAT(call("GET", "/%zz").body, HasSubstr("invalid escape"));
}

TEST_F(RouterTest, SomeRoutesAreForAnyone) {
    router.add("GET", "/_health/live", named("live"), {}, Access::anyone);
    const auto is_public = [&](const std::string& method, const std::string& path) {
        Request request;
        request.method = method;
        request.path = path;
        return router.is_public(request);
    };
    EXPECT_TRUE(is_public("GET", "/_health/live"));
    EXPECT_TRUE(is_public("HEAD", "/_health/live/"));
    EXPECT_FALSE(is_public("POST", "/_health/live"));
    EXPECT_FALSE(is_public("GET", "/_health"));
    EXPECT_FALSE(is_public("GET", "/_health/%zz"));
    EXPECT_FALSE(is_public("GET", "/books"));
    EXPECT_FALSE(is_public("GET", "/"));
}

struct Formatting {
    std::string query;
    std::string body;
    std::string wanted;
};

TEST(ResponseFormat, FiltersAndLaysOut) {
    const std::string body =
        R"({"took":3,"hits":{"total":{"value":2},"hits":[{"_id":"1","_source":{"a":1,"b":871.995}},{"_id":"2","x":[]}]},"e":{}})";
    const Formatting cases[] = {
        {"filter_path=took", body, R"({"took":3})"},
        {"filter_path=hits.hits._id", body, R"({"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}})"},
        {"filter_path=hits.*.value", body, R"({"hits":{"total":{"value":2}}})"},
        {"filter_path=**.b,t*k", body, R"({"took":3,"hits":{"hits":[{"_source":{"b":871.995}}]}})"},
        {"filter_path=-hits", body, R"({"took":3,"e":{}})"},
        {"filter_path=hits.hits,-**._id", body,
         R"({"hits":{"hits":[{"_source":{"a":1,"b":871.995}},{"x":[]}]}})"},
        {"filter_path=nothing", body, "{}"},
        {"filter_path=.", body, body},
        {"filter_path=-", body, body},
        {"filter_path=-..,,", body, body},
        {"filter_path=-,took,.", body, R"({"took":3})"},
        {"pretty", R"({"a":[1]})", "{\n  \"a\": [\n    1\n  ]\n}\n"},
        {"format=yaml", R"({"a":[1,{"b":"x"}],"on":true,"n":{}})",
         "---\na:\n  -\n    1\n  -\n    b: \"x\"\n\"on\": true\nn: {}\n"},
    };
    for (const Formatting& one : cases) {
        Request request;
        request.query = Parameters::parse(one.query);
        Response response = Response::json(one.body);
        format_response(request, response);
        if (one.query == "format=yaml") {
            EXPECT_EQ(response.content_type, "application/yaml");
            EXPECT_THAT(response.body, HasSubstr("\"on\": true\n"));
            continue;
        }
        EXPECT_EQ(response.body, one.wanted) << one.query;
    }
}

TEST(ResponseFormat, WildcardsTakeLittleTime) {
    std::string stars;
    std::string deep = "1";
    for (int i = 0; i < 30; ++i)
        stars += "a*";
    for (int i = 0; i < 60; ++i)
        deep = R"({"a":)" + deep + "}";
    std::string depths = "x";
    for (int i = 0; i < 30; ++i)
        depths = "**." + depths;
    Request request;
    request.query.set("filter_path", stars + "x," + depths);
    Response response = Response::json(R"({")" + std::string(60, 'a') + R"(":1,"d":)" + deep + "}");
    const auto begin = std::chrono::steady_clock::now();
    format_response(request, response);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
    EXPECT_EQ(response.body, "{}");
}

TEST(ResponseFormat, AnswersInTheMediaTypeOfTheClient) {
    Request request;
    request.headers["accept"] = "application/vnd.elasticsearch+json; compatible-with=8";
    Response response = Response::json("{}");
    format_response(request, response);
    EXPECT_EQ(response.content_type, "application/vnd.elasticsearch+json; compatible-with=8");
    for (const char* type : {"application/cbor", "application/smile", "image/png"}) {
        Request binary;
        TextBody body("x");
        binary.body = &body;
        binary.headers["content-type"] = type;
        EXPECT_THROW(check_media_types(binary), ApiError) << type;
    }
}

TEST(Percent, TakesUtf8Alone) {
    for (const std::string text : {"%FF", "lo%FFd", "\xC3(", "%C3", "%ED%A0%80"}) {
        try {
            decode_percent(text, false);
            ADD_FAILURE() << text;
        } catch (const ApiError& error) {
            EXPECT_EQ(error.status(), 400);
            EXPECT_THAT(error.body(), HasSubstr("in the address is not valid UTF-8"));
        }
    }
    EXPECT_EQ(decode_percent("%E2%9D%A4", false), "\xE2\x9D\xA4");
}

TEST(Percent, EncodesWhatItDecodes) {
    const std::string odd = "a b/c?d=%&\r\n\xE2\x9D\xA4+~";
    EXPECT_EQ(encode_percent(odd), "a%20b%2Fc%3Fd%3D%25%26%0D%0A%E2%9D%A4%2B~");
    EXPECT_EQ(decode_percent(encode_percent(odd), false), odd);
    EXPECT_EQ(decode_percent(encode_percent(odd), true), odd);
}

TEST(Parameters, ReadWhatClientsWrite) {
    const auto query = Parameters::parse("a=1&b&c=x%20y+z&t=30s&bad=3q&list=a,b,,c&flag=maybe");
    EXPECT_EQ(query.integer("a", 0), 1);
    EXPECT_TRUE(query.flag("b"));
    EXPECT_EQ(query.text("c"), "x y z");
    EXPECT_EQ(query.time("t", {}), std::chrono::seconds(30));
    EXPECT_EQ(query.time("none", std::chrono::seconds(5)), std::chrono::seconds(5));
    EXPECT_EQ(query.list("list"), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_THROW(query.time("bad", {}), ApiError);
    EXPECT_THROW(query.flag("flag"), ApiError);
    EXPECT_THROW(query.integer("c", 0), ApiError);
}

}  // namespace
}  // namespace penstock::serve
