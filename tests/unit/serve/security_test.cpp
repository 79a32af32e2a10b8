// Who is let in, and what roles grant.
#include <atomic>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "tests/unit/serve/security_fixture.h"
#include "tools/serve/json_tree.h"

namespace penstock::serve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// ---- Who gets in

TEST_F(Security, OpensForNobodyWhenItsFileIsDamagedOrGone) {
    EXPECT_EQ(status("", "GET", "/"), 200);
    node.credentials->put_user("ada", "lovelace");
    EXPECT_EQ(status("", "GET", "/"), 401);
    const std::string whole = read_file(file()).value();
    for (const std::string& damaged :
         {std::string("{"), whole.substr(0, whole.size() / 2), std::string(),
          std::string(R"({"user:ada":{"name":"ada"}})"), std::string(R"({"user:ada":1})")}) {
        write(damaged);
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(status("", "GET", "/"), 401) << damaged;
            EXPECT_EQ(status(ada, "GET", "/"), 200) << damaged;
        }
        EXPECT_THROW(Credentials{directory}, Error) << damaged;
    }
    fs::remove(file());
    EXPECT_EQ(status("", "GET", "/"), 401);
    EXPECT_EQ(status(ada, "GET", "/"), 401);
    write(whole);
    EXPECT_EQ(status(ada, "GET", "/"), 200);
}

TEST_F(Security, StaysClosedWhenTheLastUserGoes) {
    EXPECT_FALSE(node.credentials->remove_user("ada"));
    EXPECT_FALSE(node.credentials->required());
    node.credentials->put_user("ada", "lovelace");
    EXPECT_TRUE(node.credentials->remove_user("ada"));
    EXPECT_EQ(status("", "GET", "/"), 401);
    EXPECT_EQ(status(ada, "GET", "/"), 401);
    EXPECT_TRUE(Credentials(directory).empty());
    EXPECT_TRUE(Credentials(directory).required());
    fs::remove(file());
    EXPECT_FALSE(Credentials(directory).required());
}

TEST_F(Security, ANewPasswordTakesAwayNoLimits) {
    Credentials& known = *node.credentials;
    known.put_user("ada", "lovelace", Permissions::of(true, {"books"}));
    const std::string before = read_file(file()).value();
    known.put_user("ada", "babbage");
    EXPECT_EQ(status(ada, "GET", "/"), 401);
    const std::string now = basic("ada:babbage");
    EXPECT_EQ(status(now, "GET", "/books"), 404);
    EXPECT_EQ(status(now, "PUT", "/books"), 403);
    EXPECT_EQ(status(now, "GET", "/other"), 403);
    const auto created = [](const std::string& text) {
        return text.substr(text.find("\"created\""), 25);
    };
    EXPECT_EQ(created(read_file(file()).value()), created(before));
    known.put_user("ada", "babbage", Permissions::of(false, {"*"}));
    EXPECT_EQ(status(now, "PUT", "/books"), 200);
}

TEST_F(Security, ReadsFilesOfBeforeThereWereRoles) {
    node.credentials->put_user("ada", "lovelace", Permissions::of(true, {"books"}));
    std::string text = read_file(file()).value();
    const std::size_t begin = text.find("\"role_descriptors\"");
    const std::size_t end = text.find("\"salt\"");
    text.replace(begin, end - begin, R"("read_only":true,"indices":["books"],)");
    write(text);
    EXPECT_EQ(status(ada, "GET", "/books"), 404);
    EXPECT_EQ(status(ada, "PUT", "/books"), 403);
    EXPECT_EQ(status(ada, "GET", "/other"), 403);
}

TEST_F(Security, WhoIsUnknownIsRefusedNoSooner) {
    node.credentials->put_user("ada", "lovelace");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(status(basic("eve:lovelace"), "GET", "/"), 401);
    EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20))
        << "as for a password that is hashed";
}

TEST_F(Security, FewPasswordsWaitToBeChecked) {
    SecretChecks checks;
    const HashedSecret hashed = HashedSecret::of("right", 10'000);
    const auto ask_now = [&](const std::string& secret) {
        return boost::asio::co_spawn(runtime.cpu(),
                                     checks.fits("ada", hashed, secret, runtime.blocking()),
                                     boost::asio::use_future)
            .get();
    };
    EXPECT_FALSE(ask_now("known to be wrong"));
    std::promise<void> open;
    const std::shared_future<void> gate = open.get_future().share();
    for (int i = 0; i < 2; ++i)
        boost::asio::post(runtime.blocking(), [gate] { gate.wait(); });
    EXPECT_FALSE(ask_now("known to be wrong")) << "without hashing it again";
    std::atomic<int> refused = 0;
    std::atomic<int> asked = 0;
    std::vector<std::future<bool>> answers;
    const auto check = [&](std::string secret) {
        answers.push_back(boost::asio::co_spawn(
            runtime.cpu(),
            [&, secret]() -> boost::asio::awaitable<bool> {
                try {
                    ++asked;
                    co_return co_await checks.fits("ada", hashed, secret, runtime.blocking());
                } catch (const ApiError& error) {
                    EXPECT_EQ(error.status(), 429);
                    ++refused;
                    co_return false;
                }
            },
            boost::asio::use_future));
    };
    for (int i = 0; i < 40; ++i)
        check("right");
    for (int i = 0; i < 50; ++i)
        check("wrong" + std::to_string(i));
    while (asked < 90 || refused < 19)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    open.set_value();
    int right = 0;
    for (std::future<bool>& answer : answers)
        right += answer.get() ? 1 : 0;
    EXPECT_EQ(right, 40);
    EXPECT_EQ(refused, 19);
}

// ---- What they may do

TEST_F(Security, KnowsTheRoutesThatItGuards) {
    inference::ModelStoreOptions models;
    models.roots = {directory / "models"};
    node.models = std::make_shared<inference::ModelStore>(std::move(models));
    node.deployments = std::make_shared<inference::Deployments>(node.models, 1);
    for (const auto add : {add_ingest_routes, add_task_routes, add_reindex_routes, add_ml_routes,
                           add_inference_routes, add_cluster_routes, add_cat_routes})
        add(router, node);
    for (const GuardedRoute& route : guarded_routes()) {
        for (const std::string& method : split_list(route.methods, ' ')) {
            Request request;
            request.method = method;
            request.path = route.pattern;
            EXPECT_NO_THROW(router.find(request)) << method << " " << route.pattern;
            EXPECT_EQ(request.route, route.pattern) << method;
        }
    }
    node.deployments.reset();
}

TEST_F(Security, RefusesRolesThatItCannotKeepTo) {
    const auto refusal = [&](const std::string& body) {
        const Response response = call("POST", "/_security/api_key", body);
        EXPECT_EQ(response.status, 400) << body << response.body;
        return response.body;
    };
    const auto roles = [&](const std::string& text) {
        return refusal(R"({"name":"k","role_descriptors":)" + text + "}");
    };
    const auto entry = [&](const std::string& more) {
        return roles(R"({"r":{"indices":[{"names":["a"],"privileges":["read"],)" + more + "}]}}");
    };
    EXPECT_THAT(refusal(R"({"name":"k","role_descriptor":{}})"),
                HasSubstr("unknown field [role_descriptor] did you mean [role_descriptors]?"));
    for (const char* wrong : {"null", "[]", "\"r\"", "1", "true"})
        EXPECT_THAT(roles(wrong), HasSubstr("[role_descriptors] must be an object"));
    EXPECT_THAT(roles(R"({"r":1})"), HasSubstr("must hold objects"));
    EXPECT_THAT(roles(R"({"r":{"cluster":"monitor"}})"), HasSubstr("[cluster] must be a list"));
    EXPECT_THAT(roles(R"({"r":{"cluster":[1]}})"), HasSubstr("[cluster] must be a list"));
    EXPECT_THAT(roles(R"({"r":{"cluster":["manage_ml"]}})"), HasSubstr("[manage_ml]"));
    EXPECT_THAT(roles(indices("a", R"("manage_ilm")")), HasSubstr("[manage_ilm]"));
    EXPECT_THAT(roles(indices("a", "1")), HasSubstr("[privileges] must be a list of strings"));
    EXPECT_THAT(roles(indices("/a.*/", R"("read")")), HasSubstr("[/a.*/]"));
    EXPECT_THAT(roles(R"({"r":{"indices":[{"names":[1],"privileges":["read"]}]}})"),
                HasSubstr("[names]"));
    EXPECT_THAT(roles(R"({"r":{"indices":[{"names":["a"]}]}})"), HasSubstr("[privileges]"));
    EXPECT_THAT(roles(R"({"r":{"run_as":["ada"]}})"), HasSubstr("[run_as]"));
    EXPECT_THAT(entry(R"("query":{"match_all":{}})"), HasSubstr("[query]"));
    EXPECT_THAT(entry(R"("field_security":{"grant":["a"]})"), HasSubstr("[field_security]"));
    EXPECT_THAT(entry(R"("privilege":["all"])"), HasSubstr("[privilege]"));
    EXPECT_TRUE(node.credentials->empty());
}

TEST_F(Security, RolesAddUpAndGrantNoMore) {
    put("a", "1", "{}");
    put("b", "1", "{}");
    const std::string both = key(
        R"({"r":{"indices":[{"names":["a"],"privileges":["read"]}]},
            "w":{"indices":[{"names":"b","privileges":["write"]}],"run_as":[]}})");
    EXPECT_EQ(status(both, "GET", "/a/_doc/1"), 200);
    EXPECT_EQ(status(both, "PUT", "/a/_doc/1", "{}"), 403);
    EXPECT_EQ(status(both, "PUT", "/b/_doc/1", "{}"), 200);
    EXPECT_EQ(status(both, "GET", "/b/_doc/1"), 403);
    EXPECT_EQ(status(both, "GET", "/a/_settings"), 403);
    EXPECT_EQ(status(both, "DELETE", "/b"), 403);
    EXPECT_THAT(ask(both, "POST", "/_bulk",
                    "{\"index\":{\"_index\":\"a\"}}\n{}\n{\"index\":{\"_index\":\"b\"}}\n{}\n")
                    .body,
                AllOf(HasSubstr("\"status\":403"), HasSubstr("\"status\":201")));
    const std::string monitor = key(R"({"r":{"cluster":["monitor"]}})");
    EXPECT_EQ(status(monitor, "GET", "/_index_template"), 200);
    EXPECT_EQ(status(monitor, "PUT", "/_index_template/t", R"({"index_patterns":["*"]})"), 403);
    EXPECT_EQ(status(monitor, "GET", "/a/_doc/1"), 403);
    EXPECT_EQ(status(monitor, "GET", "/_search"), 403);
    EXPECT_EQ(status(monitor, "GET", "/_mapping"), 403);
    EXPECT_EQ(status(monitor, "GET", "/_security/api_key"), 403);
    const std::string manager =
        key(R"({"r":{"cluster":["manage"],"indices":[{"names":["a"],"privileges":["read"]}]}})");
    EXPECT_EQ(status(manager, "PUT", "/_index_template/t", R"({"index_patterns":["t"]})"), 200);
    EXPECT_EQ(status(manager, "PUT", "/a/_doc/1", "{}"), 403);
    EXPECT_EQ(status(manager, "POST", "/_security/api_key", R"({"name":"more"})"), 403);
    const std::string none = key(indices("a", R"("none")"));
    EXPECT_EQ(status(none, "GET", "/a/_doc/1"), 403);
    EXPECT_EQ(status(key(R"({"r":{}})"), "GET", "/a/_doc/1"), 403);
    const std::string all_but_keys = key(R"({"r":{"cluster":["manage"],
        "indices":[{"names":["*"],"privileges":["all"]}]}})");
    EXPECT_EQ(status(all_but_keys, "GET", "/_search"), 200);
    EXPECT_EQ(status(all_but_keys, "PUT", "/c"), 200);
    EXPECT_EQ(status(all_but_keys, "POST", "/_security/api_key", R"({"name":"more"})"), 403);
    EXPECT_EQ(status(key("{}"), "POST", "/_security/api_key", R"({"name":"more"})"), 200);
}

/// The columns of Elasticsearch's table of index privileges that documents have to do with.
TEST_F(Security, PrivilegesAreDividedAsElasticsearchDividesThem) {
    put("a", "1", R"({"n":1})");
    struct Case {
        const char* privileges;
        int add;  ///< a new document, by _create or without an id
        int index;
        int update;
        int remove;
        int read;
        int make;  ///< a missing index, by a write
        int create;
    };
    constexpr int no = 403;
    const std::array<Case, 12> cases{{
        {R"("write")", 201, 200, 200, 200, no, no, no},
        {R"("index")", 201, 200, 200, no, no, no, no},
        {R"("create")", 201, 200, no, no, no, no, no},
        {R"("create_doc")", 201, no, no, no, no, no, no},
        {R"("delete")", no, no, no, 200, no, no, no},
        {R"("read")", no, no, no, no, 200, no, no},
        {R"("view_index_metadata")", no, no, no, no, no, no, no},
        {R"("maintenance","monitor")", no, no, no, no, no, no, no},
        {R"("create_doc","auto_configure")", 201, no, no, no, no, 201, no},
        {R"("create_doc","create_index")", 201, no, no, no, no, 201, 200},
        {R"("manage")", no, no, no, no, no, no, 200},
        {R"("all")", 201, 200, 200, 200, 200, 201, 200},
    }};
    int number = 0;
    for (const Case& one : cases) {
        const std::string who = key(indices("a*", one.privileges));
        const std::string fresh = std::to_string(++number);
        EXPECT_EQ(status(who, "POST", "/a/_doc", "{}"), one.add) << one.privileges;
        EXPECT_EQ(status(who, "PUT", "/a/_create/new" + fresh, "{}"), one.add) << one.privileges;
        EXPECT_EQ(status(who, "PUT", "/a/_doc/1", "{}"), one.index) << one.privileges;
        EXPECT_EQ(status(who, "POST", "/a/_update/1", R"({"doc":{"n":)" + fresh + "}}"), one.update)
            << one.privileges;
        EXPECT_EQ(status(who, "GET", "/a/_doc/1"), one.read) << one.privileges;
        EXPECT_EQ(status(who, "POST", "/a-auto" + fresh + "/_doc", "{}"), one.make)
            << one.privileges;
        EXPECT_EQ(status(who, "PUT", "/a-made" + fresh), one.create) << one.privileges;
        call("PUT", "/a/_doc/gone", "{}");
        EXPECT_EQ(status(who, "DELETE", "/a/_doc/gone"), one.remove) << one.privileges;
    }
    const Response bulk = ask(key(indices("a", R"("create_doc")")), "POST", "/a/_bulk",
                              "{\"create\":{\"_id\":\"x\"}}\n{}\n{\"index\":{}}\n{}\n"
                              "{\"index\":{\"_id\":\"1\"}}\n{}\n{\"delete\":{\"_id\":\"1\"}}\n");
    EXPECT_EQ(bulk.status, 200);
    EXPECT_THAT(bulk.body, testing::MatchesRegex(R"(.*"status":201.*"status":201.*"status":403.*)"
                                                 R"("status":403.*)"));
}

TEST_F(Security, ListsAndRemovesKeysAsAsked) {
    node.credentials->put_user("ada", "lovelace");
    const auto made = [&](const std::string& who, const std::string& body) {
        return member(ask(who, "POST", "/_security/api_key", body), "id");
    };
    const std::string admin = key("{}");
    const std::string one =
        made(ada, R"({"name":"one","metadata":{"team":"search","level":1},"role_descriptors":)" +
                      indices("a", R"("read")") + "}");
    const std::string two = made(ada, R"({"name":"two","expiration":"1ms"})");
    const std::string three = made(admin, R"({"name":"one"})");
    const auto listed = [&](const std::string& parameters) {
        const Response response = ask(ada, "GET", "/_security/api_key" + parameters);
        EXPECT_EQ(response.status, 200) << response.body;
        std::string found;
        for (const auto& [name, id] : {std::pair("1", one), {"2", two}, {"3", three}})
            found += response.body.find("\"" + id + "\"") != std::string::npos ? name : "";
        return found;
    };
    while (listed("?owner=true&active_only=true") != "1")
        std::this_thread::yield();  // the second one's millisecond is not over
    EXPECT_EQ(listed(""), "123");
    EXPECT_EQ(listed("?owner=true"), "12");
    EXPECT_EQ(listed("?name=one"), "13");
    EXPECT_EQ(listed("?owner=true&active_only=true"), "1");
    EXPECT_EQ(listed("?id=" + two), "2");
    EXPECT_THAT(ask(ada, "GET", "/_security/api_key?id=" + one).body,
                AllOf(HasSubstr(R"("metadata":{"team":"search","level":1})"),
                      HasSubstr(R"("role_descriptors":)" + indices("a", R"("read")"))));
    for (const char* parameter : {"username=ada", "realm_name=file"})
        EXPECT_THAT(ask(ada, "GET", std::string("/_security/api_key?") + parameter).body,
                    HasSubstr("contains unrecognized parameter"));
    EXPECT_EQ(status(ada, "POST", "/_security/api_key", R"({"name":"k","metadata":{"_m":1}})"),
              400);
    const auto removed = [&](const std::string& body) {
        return status(ada, "DELETE", "/_security/api_key", body);
    };
    for (const char* body : {R"({"username":"ada"})", R"({"realm_name":"file"})", R"({"ids":[1]})",
                             R"({"id":1})", R"({"owner":"true"})", R"({"owner":false})", "{}"})
        EXPECT_EQ(removed(body), 400) << body;
    EXPECT_EQ(removed(R"({"name":"one","owner":true})"), 200);
    EXPECT_EQ(listed(""), "23");
    EXPECT_EQ(removed(R"({"owner":true})"), 200);
    EXPECT_EQ(listed(""), "3");
    EXPECT_EQ(removed(R"({"name":"one"})"), 200);
    EXPECT_EQ(listed(""), "");
}

TEST(PermissionsText, SaysWhatIsGranted) {
    EXPECT_EQ(Permissions::everything().summary(), "all");
    EXPECT_EQ(Permissions().summary(), "none");
    EXPECT_EQ(Permissions::of(true, {}).summary(),
              "cluster:monitor;read,monitor,view_index_metadata:*");
    EXPECT_EQ(Permissions::of(false, {"logs-*", "x"}).summary(), "all:logs-*,x");
    EXPECT_EQ(Permissions::everything().role_descriptors(), "{}");
}

}  // namespace
}  // namespace penstock::serve
