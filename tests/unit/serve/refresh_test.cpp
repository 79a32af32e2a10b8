// When searches see what is written.
#include <gmock/gmock.h>

#include "tests/unit/serve/fixture.h"

namespace penstock::serve {
namespace {

using testing::HasSubstr;
using testing::Not;

class RefreshTest : public ServeFixture {
  protected:
    RefreshTest() {
        add_document_routes(router, node);
        add_bulk_routes(router, node);
        add_index_routes(router, node);
        add_search_routes(router, node);
    }
    void create(const std::string& interval) {
        const Response made = call(
            "PUT", "/loading", R"({"settings":{"index":{"refresh_interval":)" + interval + "}}}");
        ASSERT_EQ(made.status, 200) << made.body;
    }
    Response write(const std::string& id, const std::string& parameters = "") {
        return call("PUT", "/loading/_doc/" + id + parameters, R"({"word":"tree"})");
    }
    std::string count() {
        const std::string body = call("GET", "/loading/_count").body;
        return body.substr(0, body.find(','));
    }
};

TEST_F(RefreshTest, IsNotWaitedForUnlessTheIndexSaysSo) {
    create("\"30s\"");
    write("1");
    EXPECT_EQ(count(), R"({"count":1)");
}

TEST_F(RefreshTest, SearchesSeeTheLastOneWhenTheIntervalIsMinusOne) {
    create("\"-1\"");
    write("1");
    EXPECT_EQ(count(), R"({"count":0)");
    EXPECT_THAT(call("GET", "/loading/_search?q=word:tree").body, HasSubstr(R"("hits":[])"));
    call("POST", "/loading/_refresh");
    EXPECT_EQ(count(), R"({"count":1)");
    call("DELETE", "/loading/_doc/1");
    EXPECT_EQ(count(), R"({"count":1)");
    call("POST", "/_flush");
    EXPECT_EQ(count(), R"({"count":1)") << "a flush is about the disk";
    call("POST", "/_refresh");
    EXPECT_EQ(count(), R"({"count":0)");
}

TEST_F(RefreshTest, AWriteMayAskForOne) {
    create("-1");
    EXPECT_THAT(write("1", "?refresh=true").body, HasSubstr(R"("forced_refresh":true)"));
    EXPECT_EQ(count(), R"({"count":1)");
    EXPECT_THAT(write("2", "?refresh=wait_for").body, Not(HasSubstr("forced_refresh")));
    EXPECT_EQ(count(), R"({"count":2)");
    write("3", "?refresh=false");
    EXPECT_EQ(count(), R"({"count":2)");
    call("POST", "/loading/_bulk", "{\"index\":{\"_id\":\"4\"}}\n{}\n");
    EXPECT_EQ(count(), R"({"count":2)");
    call("POST", "/loading/_bulk?refresh", "{\"index\":{\"_id\":\"5\"}}\n{}\n");
    EXPECT_EQ(count(), R"({"count":5)");
    call("POST", "/loading/_update/5", R"({"doc":{"word":"leaf"}})");
    EXPECT_THAT(call("GET", "/loading/_search?q=word:leaf").body, HasSubstr(R"("hits":[])"));
    call("POST", "/loading/_update/5?refresh=true", R"({"doc":{"word":"root"}})");
    EXPECT_THAT(call("GET", "/loading/_search?q=word:root").body, HasSubstr(R"("_id":"5")"));
}

TEST_F(RefreshTest, AGetReadsEverythingUnlessItIsNotRealtime) {
    create("-1");
    write("1");
    for (const std::string path : {"/loading/_doc/1", "/loading/_source/1"}) {
        EXPECT_EQ(call("GET", path).status, 200);
        EXPECT_EQ(call("GET", path + "?realtime=false").status, 404);
    }
    const std::string wanted = R"({"ids":["1"]})";
    EXPECT_THAT(call("POST", "/loading/_mget", wanted).body, HasSubstr(R"("found":true)"));
    EXPECT_THAT(call("POST", "/loading/_mget?realtime=false", wanted).body,
                HasSubstr(R"("found":false)"));
    EXPECT_EQ(call("GET", "/loading/_doc/1?realtime=false&refresh=true").status, 200);
    write("2");
    EXPECT_EQ(count(), R"({"count":1)");
    call("POST", "/loading/_mget?refresh=true", wanted);
    EXPECT_EQ(count(), R"({"count":2)");
}

TEST_F(RefreshTest, FollowsTheSetting) {
    create("\"1s\"");
    write("1");
    call("PUT", "/loading/_settings", R"({"index":{"refresh_interval":"-1"}})");
    write("2");
    EXPECT_EQ(count(), R"({"count":1)") << "what was there is seen";
    call("PUT", "/loading/_alias/other");
    EXPECT_EQ(count(), R"({"count":1)") << "another change of the index refreshes nothing";
    call("PUT", "/loading/_settings", R"({"index":{"refresh_interval":null}})");
    EXPECT_EQ(count(), R"({"count":2)");
}

TEST_F(RefreshTest, AStartRefreshes) {
    create("-1");
    write("1");
    open();
    EXPECT_EQ(count(), R"({"count":1)");
    write("2");
    EXPECT_EQ(count(), R"({"count":1)");
}

TEST_F(RefreshTest, AnIndexMadeAgainIsAnother) {
    create("-1");
    write("1", "?refresh=true");
    call("DELETE", "/loading");
    create("-1");
    EXPECT_EQ(count(), R"({"count":0)");
    write("1");
    EXPECT_EQ(count(), R"({"count":0)");
}

TEST_F(RefreshTest, AnIntervalIsATime) {
    const Response refused =
        call("PUT", "/loading", R"({"settings":{"refresh_interval":"often"}})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("failed to parse setting [index.refresh_interval] with "
                                        "value [often] as a time value"));
}

}  // namespace
}  // namespace penstock::serve
