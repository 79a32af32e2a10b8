// What a key for some indices reaches: by names, patterns and aliases, in paths and in bodies.
#include "engine/job/task_manager.h"
#include "tests/unit/serve/security_fixture.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class IndexRights : public Security {};

/// There or not: it is the same to whoever has no right to it.
TEST_F(IndexRights, ForeignNamesInBodiesAreForbiddenAndNotTold) {
    node.tasks = std::make_shared<job::TaskManager>(
        job::TaskManagerOptions{.directory = directory / "tasks"});
    add_reindex_routes(router, node);
    put("logs-1", "1", "{}");
    put("secret", "1", "{}");
    ASSERT_EQ(call("PUT", "/secret/_alias/hidden").status, 200);
    const std::string who = key(indices("logs-*", R"("all")"));
    for (const std::string name : {"secret", "hidden", "nothing"}) {
        const auto reindex = [&](const std::string& source, const std::string& dest) {
            return status(
                who, "POST", "/_reindex",
                R"({"source":{"index":")" + source + R"("},"dest":{"index":")" + dest + "\"}}");
        };
        EXPECT_EQ(reindex(name, "logs-2"), 403) << name;
        EXPECT_EQ(reindex("logs-1", name), 403) << name;
        const std::string line = "{\"index\":\"" + name + "\"}\n{}\n";
        EXPECT_THAT(ask(who, "POST", "/_msearch", line).body, HasSubstr("\"status\":403")) << name;
        const std::string terms =
            R"({"query":{"terms":{"a":{"id":"1","path":"a","index":")" + name + "\"}}}}";
        EXPECT_EQ(status(who, "POST", "/logs-1/_search", terms), 403) << name;
        for (const char* kind : {"index", "create", "delete", "update"}) {
            const bool has_body = std::string(kind) != "delete";
            const std::string item = std::string("{\"") + kind + R"(":{"_id":"1","_index":")" +
                                     name + "\"}}\n" + (has_body ? "{\"doc\":{}}\n" : "");
            EXPECT_THAT(ask(who, "POST", "/_bulk", item).body, HasSubstr("\"status\":403"))
                << name << kind;
        }
        EXPECT_THAT(
            ask(who, "POST", "/_mget", R"({"docs":[{"_index":")" + name + R"(","_id":"1"}]})").body,
            HasSubstr("security_exception"))
            << name;
        for (const char* kind : {"add", "remove"}) {
            EXPECT_EQ(status(who, "POST", "/_aliases",
                             std::string(R"({"actions":[{")") + kind + R"(":{"index":")" + name +
                                 R"(","alias":"logs-x"}}]})"),
                      403)
                << name;
        }
        EXPECT_EQ(status(who, "POST", "/_aliases",
                         R"({"actions":[{"remove_index":{"index":")" + name + "\"}}]}"),
                  403);
        EXPECT_EQ(status(who, "PUT", "/logs-1/_alias/" + name), 403) << name;
    }
    EXPECT_EQ(status(who, "POST", "/_reindex",
                     R"({"source":{"index":"logs-1"},"dest":{"index":"logs-2"}})"),
              200);
    const std::string writer = key(
        R"({"r":{"indices":[{"names":["logs-1"],"privileges":["read"]},
                            {"names":["logs-*"],"privileges":["write"]}]}})");
    const auto copy_to = [&](const std::string& dest) {
        return status(writer, "POST", "/_reindex",
                      R"({"source":{"index":"logs-1"},"dest":{"index":")" + dest + "\"}}");
    };
    EXPECT_EQ(copy_to("logs-2"), 200);
    EXPECT_EQ(copy_to("logs-3"), 403) << "it may not make it";
    EXPECT_EQ(status(writer, "POST", "/_reindex",
                     R"({"source":{"index":"logs-2"},"dest":{"index":"logs-1"}})"),
              403);
}

TEST_F(IndexRights, NamesWithDateMathematicsAreWhatTheyStandFor) {
    node.tasks = std::make_shared<job::TaskManager>(
        job::TaskManagerOptions{.directory = directory / "tasks"});
    add_reindex_routes(router, node);
    const std::string logs = key(indices("logs-*", R"("all")"));
    const std::string year = "{now/y{yyyy}}";
    const auto item = [&](const std::string& name) {
        return ask(logs, "POST", "/_bulk",
                   R"({"index":{"_index":")" + name + "\",\"_id\":\"1\"}}\n{}\n")
            .body;
    };
    EXPECT_THAT(item("<logs-" + year + ">"), HasSubstr(R"("status":201)"));
    EXPECT_THAT(item("<secret-" + year + ">"), HasSubstr(R"("status":403)"));
    const auto reindex = [&](const std::string& source, const std::string& dest) {
        return status(
            logs, "POST", "/_reindex",
            R"({"source":{"index":")" + source + R"("},"dest":{"index":")" + dest + "\"}}");
    };
    EXPECT_EQ(reindex("<logs-" + year + ">", "<logs-of-{now/y{yyyy}}>"), 200);
    EXPECT_EQ(reindex("<logs-" + year + ">", "<secret-" + year + ">"), 403);
    EXPECT_EQ(reindex("<secret-" + year + ">", "logs-x"), 403);
    const auto get = [&](const std::string& name) {
        return ask(logs, "POST", "/_mget", R"({"docs":[{"_index":")" + name + R"(","_id":"1"}]})");
    };
    EXPECT_THAT(get("<logs-" + year + ">").body, HasSubstr(R"("found":true)"));
    EXPECT_THAT(get("<secret-" + year + ">").body, HasSubstr("security_exception"));
    EXPECT_EQ(status(logs, "GET", "/%3Csecret-%7Bnow%2Fy%7D%3E/_search"), 403);
}

/// As Elasticsearch's restricted indices: a name or pattern alone grants nothing there.
TEST_F(IndexRights, TheServersOwnIndexTakesAGrantOfItsOwn) {
    node.indices->create_system(".tasks", "{}");
    io::WriteItem item;
    item.id = "n:1";
    item.source = R"({"completed":true})";
    std::vector<io::ItemResult> results;
    node.store->bulk(".tasks", std::span(&item, 1), results);
    put("a", "1", "{}");
    const auto on = [&](const std::string& name, const std::string& more) {
        return key(R"({"r":{"indices":[{"names":[")" + name + R"("],"privileges":["all"])" + more +
                   "}]}}");
    };
    const auto mget = [&](const std::string& who) {
        return ask(who, "POST", "/_mget", R"({"docs":[{"_index":".tasks","_id":"n:1"}]})").body;
    };
    for (const char* name : {"*", ".tasks", ".t*"}) {
        const std::string who = on(name, R"(,"allow_restricted_indices":false)");
        for (const char* target : {"/.tasks/_search", "/.tasks/_doc/n:1", "/.tasks/_mapping",
                                   "/.tasks", "/.tasks,a/_count", "/*,.tasks/_count"})
            EXPECT_EQ(status(who, "GET", target), 403) << name << " " << target;
        for (const char* target : {"/.t*/_search", "/.*/_settings"}) {
            // Who has a right to nothing else is told so.
            const Response passed = ask(who, "GET", target);
            EXPECT_EQ(passed.status, std::string(name) == "*" ? 200 : 403) << name << target;
            EXPECT_THAT(passed.body, Not(HasSubstr("completed"))) << name << target;
        }
        EXPECT_EQ(status(who, "DELETE", "/.tasks"), 403) << name;
        EXPECT_THAT(mget(who), HasSubstr("security_exception"));
        const std::string allowed = on(name, R"(,"allow_restricted_indices":true)");
        EXPECT_EQ(status(allowed, "GET", "/.tasks/_search"), 200) << name;
        EXPECT_THAT(mget(allowed), HasSubstr(R"("found":true)"));
    }
    const std::string all = on("*", "");
    for (const char* target : {"/_search", "/*/_search", "/_mapping", "/*", "/_stats"}) {
        const std::string hidden = std::string(target) + "?expand_wildcards=open,hidden";
        const Response passed = ask(all, "GET", hidden);
        EXPECT_EQ(passed.status, 200) << target << passed.body;
        EXPECT_THAT(passed.body, Not(HasSubstr(".tasks"))) << target;
        EXPECT_THAT(ask(on("*", R"(,"allow_restricted_indices":true)"), "GET", hidden).body,
                    HasSubstr(".tasks"))
            << target;
        EXPECT_THAT(ask(key("{}"), "GET", hidden).body, HasSubstr(".tasks")) << target;
    }
    EXPECT_EQ(status(key("{}"), "PUT", "/.tasks/_doc/2", "{}"), 403);
    EXPECT_EQ(status(key("{}"), "DELETE", "/.tasks"), 200);
}

TEST_F(IndexRights, AnAliasIsEnoughWithItsFilter) {
    put("books", "1", R"({"owner":"ada"})");
    put("books", "2", R"({"owner":"eve"})");
    ASSERT_EQ(call("PUT", "/books/_alias/of-ada", R"({"filter":{"term":{"owner":"ada"}}})").status,
              200);
    const std::string reader = key(indices("of-*", R"("read","write")"));
    const auto total = [&](const Response& response) {
        EXPECT_EQ(response.status, 200) << response.body;
        return response.body;
    };
    for (const char* target : {"/of-ada/_count", "/of-*/_count", "/*/_count", "/_count"})
        EXPECT_THAT(total(ask(reader, "GET", target)), HasSubstr("\"count\":1")) << target;
    EXPECT_THAT(total(ask(reader, "POST", "/_msearch", "{\"index\":\"of-ada\"}\n{}\n")),
                HasSubstr("\"value\":1"));
    EXPECT_THAT(ask(reader, "POST", "/of-ada/_msearch", "{\"index\":\"books\"}\n{}\n").body,
                HasSubstr("\"status\":403"));
    for (const char* target : {"/books/_count", "/of-ada,books/_count", "/*,books/_count"})
        EXPECT_EQ(status(reader, "GET", target), 403) << target;
    EXPECT_EQ(status(reader, "GET", "/of-ada/_doc/1"), 200);
    EXPECT_EQ(status(reader, "PUT", "/of-ada/_doc/3", "{}"), 201);
    EXPECT_THAT(ask(reader, "POST", "/_mget",
                    R"({"docs":[{"_index":"of-ada","_id":"1"},{"_index":"books","_id":"1"}]})")
                    .body,
                AllOf(HasSubstr("\"found\":true"), HasSubstr("unauthorized")));
    const std::string pit = member(ask(reader, "POST", "/of-ada/_pit?keep_alive=1m"), "id");
    EXPECT_THAT(total(ask(reader, "POST", "/_search", R"({"pit":{"id":")" + pit + "\"}}")),
                HasSubstr("\"value\":1"));
    const std::string other = key(indices("other*", R"("read")"));
    EXPECT_EQ(status(other, "POST", "/_search", R"({"pit":{"id":")" + pit + "\"}}"), 403);
    // The index is enough too: nothing is seen that could not be seen without the alias.
    EXPECT_EQ(status(key(indices("books", R"("read")")), "GET", "/of-ada/_count"), 200);
}

/// As in Elasticsearch: what it may not use is not there for it.
TEST_F(IndexRights, APatternReachesWhatAKeyMayUse) {
    node.tasks = std::make_shared<job::TaskManager>(
        job::TaskManagerOptions{.directory = directory / "tasks"});
    add_reindex_routes(router, node);
    put("logs-1", "1", R"({"n":1})");
    put("logs-2", "1", R"({"n":1})");
    put("secret", "1", R"({"n":1})");
    ASSERT_EQ(call("PUT", "/secret/_alias/hidden").status, 200);
    const std::string who = key(indices("logs-*", R"("all")"));
    const auto body = [&](const char* method, const std::string& target, std::string text = {}) {
        const Response response = ask(who, method, target, std::move(text));
        EXPECT_EQ(response.status, 200) << target << response.body;
        EXPECT_THAT(response.body, AllOf(Not(HasSubstr("secret")), Not(HasSubstr("hidden"))))
            << target;
        return response.body;
    };
    for (const char* target : {"/_count", "/_all/_count", "/*/_count", "/l*,*-1/_count"})
        EXPECT_THAT(body("GET", target), HasSubstr("\"count\":2")) << target;
    EXPECT_THAT(body("GET", "/*,-logs-2/_count"), HasSubstr("\"count\":1"));
    EXPECT_THAT(body("GET", "/s*/_count"), HasSubstr("\"count\":0"));
    EXPECT_EQ(status(who, "GET", "/s*/_count?allow_no_indices=false"), 404);
    EXPECT_EQ(status(who, "GET", "/*,secret/_count"), 403);
    for (const char* target : {"/_mapping", "/_settings", "/*", "/_stats", "/_alias"})
        EXPECT_THAT(body("GET", target), HasSubstr("logs-2")) << target;
    EXPECT_THAT(body("POST", "/_msearch", "{}\n{}\n{\"index\":\"*\"}\n{}\n"),
                testing::MatchesRegex(R"(.*"value":2.*"value":2.*)"));
    EXPECT_THAT(body("POST", "/_refresh"), HasSubstr("\"total\":2"));
    const std::string scroll = member(ask(who, "POST", "/_search?scroll=1m&size=1"), "_scroll_id");
    body("POST", "/_search/scroll", R"({"scroll_id":")" + scroll + "\"}");
    const std::string pit = member(ask(who, "POST", "/*/_pit?keep_alive=1m"), "id");
    EXPECT_THAT(body("POST", "/_search", R"({"pit":{"id":")" + pit + "\"}}"),
                HasSubstr("\"value\":2"));
    EXPECT_THAT(body("POST", "/_reindex?refresh",
                     R"({"source":{"index":"*"},"dest":{"index":"logs-all"}})"),
                HasSubstr("\"total\":2"));
    EXPECT_THAT(body("POST", "/*/_update_by_query"), HasSubstr("\"total\":3"));
    EXPECT_THAT(
        body("POST", "/_aliases", R"({"actions":[{"add":{"index":"*","alias":"logs-now"}}]})"),
        HasSubstr("true"));
    EXPECT_THAT(body("GET", "/logs-now/_count"), HasSubstr("\"count\":3"));
    EXPECT_EQ(status(who, "GET", "/*/_doc/1"), 403) << "a get is of one index";
    EXPECT_EQ(status(who, "PUT", "/*"), 403);
    EXPECT_EQ(status(who, "DELETE", "/*"), 403) << "what is deleted is to be named";
    EXPECT_EQ(call("GET", "/secret/_doc/1").status, 200);
    ASSERT_EQ(call("POST", "/logs-2/_close").status, 200);
    EXPECT_THAT(body("GET", "/_count"), HasSubstr("\"count\":2")) << "of the open ones";
    EXPECT_THAT(body("GET", "/_settings"), HasSubstr("logs-2"));
}

/// Where a pattern before the alias reaches nothing, or the other way round, the filter holds.
TEST_F(IndexRights, APatternThatReachesNothingLiftsNoFilter) {
    node.tasks = std::make_shared<job::TaskManager>(
        job::TaskManagerOptions{.directory = directory / "tasks"});
    add_reindex_routes(router, node);
    put("books", "1", R"({"owner":"ada"})");
    put("books", "2", R"({"owner":"eve"})");
    ASSERT_EQ(call("PUT", "/books/_alias/of-ada", R"({"filter":{"term":{"owner":"ada"}}})").status,
              200);
    const std::string who = key(R"({"r":{"indices":[{"names":["of-ada"],"privileges":["read"]},)"
                                R"({"names":["mine"],"privileges":["all"]}]}})");
    for (const char* source : {R"(["zzz-*","of-ada"])", R"(["of-ada","zzz-*"])", R"(["*"])"}) {
        const Response copied =
            ask(who, "POST", "/_reindex",
                std::string(R"({"source":{"index":)") + source + R"(},"dest":{"index":"mine"}})");
        if (std::string(source) == R"(["*"])") {
            EXPECT_EQ(copied.status, 400) << "it would write into what it reads";
            continue;
        }
        EXPECT_THAT(copied.body, HasSubstr("\"total\":1")) << source;
    }
    EXPECT_THAT(ask(who, "GET", "/*,-mine/_count").body, HasSubstr("\"count\":1"));
    std::string many;
    for (int i = 0; i < 200'000; ++i)
        many += "*,";
    EXPECT_EQ(status(who, "POST", "/_msearch", "{\"index\":\"" + many + "*\"}\n{}\n"), 200);
    EXPECT_THAT(ask(who, "POST", "/_msearch", "{\"index\":\"" + many + "*\"}\n{}\n").body,
                HasSubstr("the patterns of indices are too long"));
}

TEST_F(IndexRights, OtherAliasesOfAnIndexAreNotShown) {
    put("books", "1", "{}");
    for (const char* alias : {"of-ada", "secret"})
        ASSERT_EQ(call("PUT", std::string("/books/_alias/") + alias).status, 200);
    const std::string who = key(indices("of-*", R"("view_index_metadata")"));
    for (const char* target : {"/_alias", "/of-ada/_alias", "/_alias/*"}) {
        const Response shown = ask(who, "GET", target);
        EXPECT_THAT(shown.body, AllOf(HasSubstr("of-ada"), Not(HasSubstr("secret")))) << target;
    }
    EXPECT_THAT(ask(key(indices("books", R"("view_index_metadata")")), "GET", "/_alias").body,
                HasSubstr("secret"));
}

/// An alias to a closed index among what a wide pattern reaches keeps nobody from the rest.
TEST_F(IndexRights, AliasesOfClosedIndicesArePassedOver) {
    put("logs-1", "1", "{}");
    put("logs-2", "1", "{}");
    ASSERT_EQ(call("PUT", "/logs-*/_alias/logs-all").status, 200);
    ASSERT_EQ(call("POST", "/logs-2/_close").status, 200);
    const std::string who = key(indices("logs-*", R"("all")"));
    EXPECT_THAT(ask(who, "GET", "/*/_count").body, HasSubstr("\"count\":1"));
}

TEST_F(IndexRights, AnAliasOfAForeignNameIsNotMade) {
    put("logs-1", "1", "{}");
    put("secret", "1", "{}");
    ASSERT_EQ(call("PUT", "/logs-1/_alias/metrics").status, 200);
    const std::string limited = key(indices("logs-*", R"("all")"));
    const std::string catching = R"({"is_write_index":true})";
    EXPECT_EQ(status(limited, "PUT", "/logs-2", R"({"aliases":{"metrics":)" + catching + "}}"),
              403);
    EXPECT_EQ(status(limited, "PUT", "/logs-1/_alias/other", catching), 403);
    EXPECT_EQ(status(limited, "DELETE", "/logs-1/_alias/metrics"), 403);
    EXPECT_EQ(status(limited, "DELETE", "/logs-1/_alias/*"), 403);
    const auto action = [&](const std::string& kind, const std::string& alias) {
        return status(
            limited, "POST", "/_aliases",
            R"({"actions":[{")" + kind + R"(":{"index":"logs-1","alias":")" + alias + "\"}}]}");
    };
    for (const char* name : {"other", "metrics", "*", "_all"}) {
        EXPECT_EQ(action("add", name), 403) << name;
        EXPECT_EQ(action("remove", name), 403) << name;
    }
    EXPECT_EQ(action("add", "logs-now"), 200);
    EXPECT_EQ(status(limited, "PUT", "/logs-3", R"({"aliases":{"logs-all":{}}})"), 200);
    EXPECT_EQ(status(limited, "DELETE", "/logs-1/_alias/logs-*"), 200);
    EXPECT_EQ(status(limited, "POST", "/_aliases",
                     R"({"actions":[{"add":{"index":"secret","alias":"logs-x"}}]})"),
              403);
}

TEST_F(IndexRights, SearchesAreClosedByWhoMayReadThem) {
    put("books", "1", "{}");
    put("secret", "1", "{}");
    const std::string books = key(indices("books", R"("read")"));
    const std::string other = key(indices("secret", R"("read")"));
    const auto scroll = [&] {
        return member(ask(books, "POST", "/books/_search?scroll=1m", "{}"), "_scroll_id");
    };
    const std::string id = scroll();
    EXPECT_EQ(status(books, "GET", "/_search/scroll/" + id), 200);
    EXPECT_EQ(status(other, "DELETE", "/_search/scroll", R"({"scroll_id":[")" + id + "\"]}"), 403);
    EXPECT_EQ(status(other, "DELETE", "/_search/scroll/" + id), 403);
    EXPECT_EQ(status(books, "DELETE", "/_search/scroll", R"({"scroll_id":[")" + id + "\"]}"), 200);
    EXPECT_EQ(status(books, "DELETE", "/_search/scroll", R"({"scroll_id":[")" + id + "\"]}"), 404);
    EXPECT_EQ(status(books, "DELETE", "/_search/scroll/" + scroll()), 200);
    const auto pit = [&](const std::string& name) {
        const std::string path = name == "id" ? "/_pit" : "/_search/point_in_time";
        const std::string made =
            member(ask(books, "POST", "/books" + path + "?keep_alive=1m"), name);
        const std::string body = "{\"" + name + "\":\"" + made + "\"}";
        EXPECT_EQ(status(other, "DELETE", path, body), 403);
        EXPECT_EQ(status(books, "DELETE", path, body), 200);
    };
    pit("id");
    pit("pit_id");
    scroll();
    for (const std::string& who : {books, key(Permissions::of(true, {}).role_descriptors()),
                                   key(indices("b*", "\"all\""))}) {
        EXPECT_EQ(status(who, "DELETE", "/_search/scroll", R"({"scroll_id":"_all"})"), 403);
        EXPECT_EQ(status(who, "DELETE", "/_search/scroll/_all"), 403);
        EXPECT_EQ(status(who, "DELETE", "/_pit", R"({"id":"_all"})"), 403);
        EXPECT_EQ(status(who, "DELETE", "/_search/point_in_time/_all"), 403);
    }
    EXPECT_EQ(status(key("{}"), "DELETE", "/_search/scroll/_all"), 200);
}

TEST_F(IndexRights, ScrollsAreCountedByWhatTheyReach) {
    put("logs-1", "1", "{}");
    for (int i = 0; i < 50; ++i)
        put("other-" + std::to_string(i), "1", "{}");
    const std::string who = key(indices("logs-*", R"("read")"));
    const std::string everything = key("{}");
    for (int i = 0; i < 19; ++i)
        ASSERT_EQ(status(everything, "POST", "/other-*/_pit?keep_alive=1m"), 200);
    EXPECT_EQ(status(everything, "POST", "/_search?scroll=1m"), 429);
    EXPECT_EQ(status(who, "POST", "/_search?scroll=1m"), 200);
}

TEST_F(IndexRights, BoostsTellNothingOfForeignIndices) {
    put("logs-1", "1", "{}");
    put("logs-2", "1", "{}");
    put("secret", "1", "{}");
    const std::string who = key(indices("logs-*", R"("read")"));
    const auto boosted = [](const std::string& name) {
        return R"({"indices_boost":[{")" + name + R"(":2}]})";
    };
    EXPECT_EQ(status(who, "POST", "/_search", boosted("secret")), 403);
    EXPECT_EQ(status(who, "POST", "/_search", boosted("none")), 403);
    EXPECT_EQ(status(who, "POST", "/_search", boosted("logs-3")), 404);
    EXPECT_THAT(ask(who, "POST", "/_search", boosted("*")).body, HasSubstr(R"("_score":2.0)"));
}

// ---- Keys

}  // namespace
}  // namespace penstock::serve
