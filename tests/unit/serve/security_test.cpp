// Who gets in, and what they may do then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "engine/job/task_manager.h"
#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"
#include "tests/unit/serve/fixture.h"
#include "tools/serve/authorization.h"
#include "tools/serve/json_body.h"
#include "tools/serve/json_tree.h"

namespace penstock::serve {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

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

/// There or not: it is the same to whoever has no right to it.
TEST_F(Security, ForeignNamesInBodiesAreForbiddenAndNotTold) {
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

TEST_F(Security, NamesWithDateMathematicsAreWhatTheyStandFor) {
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
TEST_F(Security, TheServersOwnIndexTakesAGrantOfItsOwn) {
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

TEST_F(Security, AnAliasIsEnoughWithItsFilter) {
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
TEST_F(Security, APatternReachesWhatAKeyMayUse) {
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
TEST_F(Security, APatternThatReachesNothingLiftsNoFilter) {
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

TEST_F(Security, OtherAliasesOfAnIndexAreNotShown) {
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
TEST_F(Security, AliasesOfClosedIndicesArePassedOver) {
    put("logs-1", "1", "{}");
    put("logs-2", "1", "{}");
    ASSERT_EQ(call("PUT", "/logs-*/_alias/logs-all").status, 200);
    ASSERT_EQ(call("POST", "/logs-2/_close").status, 200);
    const std::string who = key(indices("logs-*", R"("all")"));
    EXPECT_THAT(ask(who, "GET", "/*/_count").body, HasSubstr("\"count\":1"));
}

TEST_F(Security, AnAliasOfAForeignNameIsNotMade) {
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

TEST_F(Security, SearchesAreClosedByWhoMayReadThem) {
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

TEST_F(Security, ScrollsAreCountedByWhatTheyReach) {
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

TEST_F(Security, BoostsTellNothingOfForeignIndices) {
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
