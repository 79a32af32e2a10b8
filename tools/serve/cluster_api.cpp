// The cluster, which is this one node: health, statistics, settings, licence.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <map>
#include <optional>
#include <span>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/await.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authorization.h"
#include "tools/serve/cluster_routes.h"
#include "tools/serve/cluster_settings.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/index_state.h"
#include "tools/serve/json_body.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/process_stats.h"
#include "tools/serve/stats_json.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace asio = boost::asio;
using document::JsonWriter;
using document::Value;

namespace {

// ---- health

const std::vector<std::string>& health_parameters() {
    static const std::vector<std::string> names{"expand_wildcards",
                                                "level",
                                                "local",
                                                "master_timeout",
                                                "cluster_manager_timeout",
                                                "return_200_for_cluster_health_timeout",
                                                "timeout",
                                                "wait_for_active_shards",
                                                "wait_for_events",
                                                "wait_for_no_initializing_shards",
                                                "wait_for_no_relocating_shards",
                                                "wait_for_nodes",
                                                "wait_for_status"};
    return names;
}

/// "2", ">=2", "ge(2)" and so on, of a cluster of one node. Throws ApiError 400.
bool fits_one_node(const std::string& wanted) {
    struct Comparison {
        std::string_view sign;
        std::string_view word;
        bool (*holds)(int);
    };
    static constexpr std::array<Comparison, 5> comparisons{
        {{">=", "ge(", [](int n) { return 1 >= n; }},
         {"<=", "le(", [](int n) { return 1 <= n; }},
         {">", "gt(", [](int n) { return 1 > n; }},
         {"<", "lt(", [](int n) { return 1 < n; }},
         {"", "", [](int n) { return 1 == n; }}}};
    for (const Comparison& each : comparisons) {
        std::string_view digits = wanted;
        if (digits.starts_with(each.sign)) {
            digits.remove_prefix(each.sign.size());
        } else if (digits.starts_with(each.word) && digits.ends_with(')')) {
            digits.remove_prefix(each.word.size());
            digits.remove_suffix(1);
        } else {
            continue;
        }
        int number = 0;
        const auto [end, problem] =
            std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (problem == std::errc() && end == digits.data() + digits.size())
            return each.holds(number);
    }
    throw illegal_argument("Failed to parse [wait_for_nodes] with value [" + wanted + "]");
}

void require_one_of(const Request& request, std::string_view name,
                    std::span<const std::string_view> choices) {
    const std::string* value = request.query.find(name);
    if (value == nullptr || std::find(choices.begin(), choices.end(), *value) != choices.end())
        return;
    throw illegal_argument("unknown value [" + *value + "] for [" + std::string(name) + "]");
}

struct Health {
    std::vector<IndexState> indices;
    bool indices_missing = false;
    bool timed_out = false;

    bool is_red() const { return indices_missing || count_damaged(indices) > 0; }
};

/// An index has the primary shards of its settings, all of them on this node from the moment there
/// is an index, and no replicas. One that cannot be read has one shard, assigned to no node.
struct Shards {
    std::size_t active = 0;
    std::size_t unassigned = 0;

    void add(const IndexState& state) {
        if (state.damaged) {
            ++unassigned;
        } else {
            active += static_cast<std::size_t>(state.metadata->shards);
        }
    }
    static Shards of(const std::vector<IndexState>& states) {
        Shards sum;
        for (const IndexState& state : states)
            sum.add(state);
        return sum;
    }
    std::size_t all() const { return active + unassigned; }
};

void write_shards(JsonWriter& json, const Shards& shards) {
    json.member("active_primary_shards", shards.active);
    json.member("active_shards", shards.active);
    json.member("relocating_shards", 0);
    json.member("initializing_shards", 0);
    json.member("unassigned_shards", shards.unassigned);
    json.member("unassigned_primary_shards", shards.unassigned);
}

void write_each_shard(JsonWriter& json, const IndexState& state, const Shards& shards) {
    json.member_object("shards", [&] {
        for (std::size_t number = 0; number < shards.all(); ++number) {
            json.member_object(std::to_string(number), [&] {
                const std::size_t active = state.damaged ? 0 : 1;
                json.member("status", state.damaged ? "red" : "green");
                json.member("primary_active", !state.damaged);
                json.member("active_shards", active);
                json.member("relocating_shards", 0);
                json.member("initializing_shards", 0);
                json.member("unassigned_shards", 1 - active);
                json.member("unassigned_primary_shards", 1 - active);
            });
        }
    });
}

/// `level`: "cluster", "indices" or "shards".
std::string health_json(const Node& node, const Health& health, std::string_view level) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("cluster_name", node.cluster_name);
        json.member("status", health.is_red() ? "red" : "green");
        json.member("timed_out", health.timed_out);
        json.member("number_of_nodes", 1);
        json.member("number_of_data_nodes", 1);
        if (!node.compat.is_elasticsearch()) {
            json.member("discovered_master", true);
            json.member("discovered_cluster_manager", true);
        }
        const Shards shards = Shards::of(health.indices);
        write_shards(json, shards);
        json.member("delayed_unassigned_shards", 0);
        json.member("number_of_pending_tasks", 0);
        json.member("number_of_in_flight_fetch", 0);
        json.member("task_max_waiting_in_queue_millis", 0);
        json.member("active_shards_percent_as_number",
                    active_percent(shards.all(), shards.unassigned));
        if (level == "cluster") return;
        json.member_object("indices", [&] {
            for (const IndexState& state : health.indices) {
                json.member_object(state.name, [&] {
                    json.member("status", state.damaged ? "red" : "green");
                    const Shards own = Shards::of({state});
                    json.member("number_of_shards", own.all());
                    json.member("number_of_replicas", 0);
                    write_shards(json, own);
                    if (level == "shards") write_each_shard(json, state, own);
                });
            }
        });
    });
    return out;
}

/// Nothing when an index that is named is not there.
asio::awaitable<std::optional<std::vector<IndexState>>> find_indices(const Node& node,
                                                                     const std::string& names,
                                                                     ExpandOptions options) {
    try {
        co_return co_await runtime::call_on(node.runtime->blocking(), [&] {
            return index_states(node, node.indices->expand(names, options));
        });
    } catch (const ApiError& error) {
        if (error.status() != 404) throw;
        co_return std::nullopt;
    }
}

/// What a request for the health waits for.
struct Awaited {
    bool red_is_enough = true;
    bool all_active = false;
    std::size_t active = 0;  ///< shards

    static Awaited from(const Parameters& parameters) {
        const std::string status = parameters.text("wait_for_status", "red");
        const std::string shards = parameters.text("wait_for_active_shards", "0");
        Awaited awaited;
        awaited.red_is_enough = status == "red" || status == "RED";
        awaited.all_active = shards == "all";
        if (awaited.all_active) return awaited;
        const auto [end, problem] =
            std::from_chars(shards.data(), shards.data() + shards.size(), awaited.active);
        if (problem != std::errc() || end != shards.data() + shards.size())
            throw illegal_argument("cannot parse ActiveShardCount[" + shards + "]");
        return awaited;
    }
    bool are_there(const Health& health) const {
        const Shards shards = Shards::of(health.indices);
        return (red_is_enough || !health.is_red()) && shards.active >= active &&
               (!all_active || shards.unassigned == 0);
    }
};

/// As the reference, waits for an index that is not there yet, and for what else is awaited.
asio::awaitable<Health> wait_for_indices(const Node& node, const std::string& names,
                                         ExpandOptions options, Awaited awaited,
                                         std::chrono::milliseconds timeout) {
    constexpr std::chrono::milliseconds pause(50);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    Health health;
    for (;;) {
        if (auto found = co_await find_indices(node, names, options)) {
            health.indices = std::move(*found);
            health.indices_missing = false;
            if (awaited.are_there(health)) co_return health;
        } else {
            health.indices_missing = true;
        }
        if (std::chrono::steady_clock::now() >= deadline) break;
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
    health.timed_out = true;
    co_return health;
}

asio::awaitable<Response> get_health(Request& request, const Node& node) {
    static constexpr std::array<std::string_view, 6> statuses{"green", "yellow", "red",
                                                              "GREEN", "YELLOW", "RED"};
    static constexpr std::array<std::string_view, 3> levels{"cluster", "indices", "shards"};
    require_one_of(request, "wait_for_status", statuses);
    require_one_of(request, "level", levels);
    const auto timeout = request.query.time("timeout", std::chrono::seconds(30));
    const bool enough_nodes =
        !request.query.has("wait_for_nodes") || fits_one_node(request.query.text("wait_for_nodes"));
    Health health = co_await wait_for_indices(
        node, request.part("index"),
        within_rights(request, ExpandOptions::from(request.query, true, Reach::all)),
        Awaited::from(request.query), timeout);
    // Nodes never join: there is nothing to wait for.
    health.timed_out = health.timed_out || !enough_nodes;
    // Elasticsearch 8 has left the status 408.
    const bool tells_by_status = !node.compat.is_elasticsearch() || node.compat.major < 8;
    const bool always_200 =
        request.query.flag("return_200_for_cluster_health_timeout", !tells_by_status);
    co_return Response::json(health_json(node, health, request.query.text("level", "cluster")),
                             health.timed_out && !always_200 ? 408 : 200);
}

// ---- statistics

std::string cluster_stats(const Node& node) {
    const IndexTotals totals = index_totals(node);
    const ProcessStats process = read_process_stats();
    const auto pipelines = node.pipelines->statistics();
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_object("_nodes", [&] { write_one_of_one(json); });
        json.member("cluster_name", node.cluster_name);
        json.member("cluster_uuid", node.cluster_id);
        json.member("timestamp", milliseconds(node.now()));
        json.member("status", totals.damaged > 0 ? "red" : "green");
        json.member_object("indices", [&] {
            json.member("count", totals.indices);
            json.member_object("shards", [&] {
                json.member("total", totals.shards);
                json.member("primaries", totals.shards);
                json.member("replication", 0.0);
            });
            json.member_object("docs", [&] {
                json.member("count", totals.docs);
                json.member("deleted", 0);
            });
            json.member_object("store", [&] { json.member("size_in_bytes", totals.bytes); });
        });
        json.member_object("nodes", [&] {
            json.member_object("count", [&] {
                json.member("total", 1);
                for (const std::string_view role : node_roles())
                    json.member(role, 1);
            });
            json.member_array("versions", [&] { json.value(node.compat.number()); });
            json.member_object("os", [&] {
                json.member("available_processors", process.processors);
                json.member("allocated_processors", node.deployments->allowed_processors());
                json.member_object("mem", [&] {
                    json.member("total_in_bytes", process.total_memory_bytes);
                    json.member("free_in_bytes", process.available_memory_bytes);
                });
            });
            json.member_object("process", [&] {
                json.member_object("open_file_descriptors", [&] {
                    for (const char* name : {"min", "max", "avg"})
                        json.member(name, process.open_files);
                });
            });
            json.member_object("ingest", [&] {
                json.member("number_of_pipelines", pipelines.size());
                write_processor_totals(json, pipelines);
            });
        });
    });
    return out;
}

// ---- settings

using SettingsPtr = std::shared_ptr<ClusterSettings>;
using Flat = ClusterSettings::Flat;

/// Objects become dotted names; values become text, as the reference shows them.
void flatten(const Value& value, const std::string& name, Flat& out) {
    if (value.is_object()) {
        for (const document::Member& one : value.as_object())
            flatten(one.value,
                    name.empty() ? std::string(one.key()) : name + "." + std::string(one.key()),
                    out);
    } else if (value.is_null() || value.is_array()) {
        out.insert_or_assign(name, json_text(value));
    } else {
        std::string text;
        document::append_java_string(value, text);
        std::string json;
        document::write_json_string(text, json);
        out.insert_or_assign(name, json);
    }
}

/// Objects again. A name that is also the beginning of others stays dotted beside them.
void write_nested(JsonWriter& json, const Flat& settings) {
    json.object([&] {
        for (auto one = settings.begin(); one != settings.end();) {
            const std::string head = one->first.substr(0, one->first.find('.'));
            if (head.size() == one->first.size() || settings.contains(head)) {
                json.member_raw(one->first, one->second);
                ++one;
                continue;
            }
            Flat inner;
            // In a sorted map they stand together.
            while (one != settings.end() && one->first.starts_with(head + ".")) {
                inner.emplace(one->first.substr(head.size() + 1), one->second);
                ++one;
            }
            json.key(head);
            write_nested(json, inner);
        }
    });
}

void write_settings(JsonWriter& json, std::string_view name, const Flat& settings, bool flat) {
    json.key(name);
    if (!flat) return write_nested(json, settings);
    json.object([&] {
        for (const auto& [key, value] : settings)
            json.member_raw(key, value);
    });
}

asio::awaitable<Response> get_settings(Request& request, const Node& node, SettingsPtr settings) {
    const bool flat = request.query.flag("flat_settings");
    const bool defaults = request.query.flag("include_defaults");
    const Flat persistent =
        co_await runtime::call_on(node.runtime->blocking(), [&] { return settings->persistent(); });
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        write_settings(json, "persistent", persistent, flat);
        write_settings(json, "transient", settings->transient(), flat);
        if (!defaults) return;
        const auto text = [](const std::string& value) {
            std::string quoted;
            document::write_json_string(value, quoted);
            return quoted;
        };
        write_settings(json, "defaults",
                       {{"cluster.name", text(node.cluster_name)}, {"node.name", text(node.name)}},
                       flat);
    });
    co_return Response::json(std::move(out));
}

Flat section(const JsonBody& body, std::string_view name) {
    const Value* value = body.find(name);
    if (value == nullptr) return {};
    if (!value->is_object()) throw parsing_error("[" + std::string(name) + "] must be an object");
    Flat flat;
    flatten(*value, "", flat);
    for (const auto& [setting, text] : flat)
        check_setting_name(setting);
    return flat;
}

constexpr const char* kAutoCreate = "action.auto_create_index";
constexpr const char* kNamesToDelete = "action.destructive_requires_name";
constexpr const char* kMaxKeepAlive = "search.max_keep_alive";

void check_auto_create(const Flat& changes) {
    const auto found = changes.find(kAutoCreate);
    if (found != changes.end() && found->second != "null")
        AutoCreate::parse(JsonTree::leaf(found->second).content());
}

void check_keep_alive(const Flat& changes) {
    const auto found = changes.find(kMaxKeepAlive);
    if (found == changes.end() || found->second == "null") return;
    const std::string text = JsonTree::leaf(found->second).content();
    const auto time = parse_time(text);
    if (!time || time->count() <= 0)
        throw illegal_argument("failed to parse setting [" + std::string(kMaxKeepAlive) +
                               "] with value [" + text +
                               "] as a time value: a positive number and its unit are needed, as "
                               "in 1h");
}

/// Throws ApiError 400 for a value that means nothing.
void check_values(const Flat& changes) {
    check_auto_create(changes);
    check_keep_alive(changes);
}

/// The settings that mean something here. Blocks.
void put_in_force(const Node& node, const ClusterSettings& settings) {
    node.indices->set_auto_create(AutoCreate::parse(settings.text(kAutoCreate, "true")));
    node.search_settings->max_keep_alive =
        parse_time(settings.text(kMaxKeepAlive, "24h")).value_or(std::chrono::hours(24));
    const std::string names = settings.text(kNamesToDelete, "");
    node.indices->set_names_to_delete(names.empty() ? std::nullopt
                                                    : std::optional<bool>(names == "true"));
}

asio::awaitable<Response> put_settings(Request& request, const Node& node, SettingsPtr settings) {
    const bool flat = request.query.flag("flat_settings");
    JsonBody body;
    co_await body.read(request);
    for (const document::Member& one : body.root()) {
        if (one.key() != "persistent" && one.key() != "transient") {
            throw illegal_argument("[cluster_update_settings_request] unknown field [" +
                                   std::string(one.key()) + "]");
        }
    }
    Flat persistent = section(body, "persistent");
    Flat transient = section(body, "transient");
    if (persistent.empty() && transient.empty()) throw action_validation({"no settings to update"});
    co_await runtime::call_on(node.runtime->blocking(), [&] {
        check_values(persistent);
        check_values(transient);
        settings->put_persistent(persistent);
        settings->put_transient(transient);
        put_in_force(node, *settings);
    });
    const auto taken_away = [](const auto& one) { return one.second == "null"; };
    std::erase_if(persistent, taken_away);
    std::erase_if(transient, taken_away);
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("acknowledged", true);
        write_settings(json, "persistent", persistent, flat);
        write_settings(json, "transient", transient, flat);
    });
    co_return Response::json(std::move(out));
}

// ---- licence

/// A UUID that stays the node's own.
std::string licence_uid(const Node& node) {
    std::string uid = "00000000-0000-4000-8000-000000000000";
    std::size_t at = 0;
    for (char& c : uid) {
        if (c != '0' || at >= node.cluster_id.size()) continue;
        constexpr std::string_view digits = "0123456789abcdef";
        c = digits[static_cast<unsigned char>(node.cluster_id[at++]) % digits.size()];
    }
    return uid;
}

std::string licence_json(const Node& node) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_object("license", [&] {
            json.member("status", "active");
            json.member("uid", licence_uid(node));
            json.member("type", "basic");
            json.member("issue_date", timestamp(node.started));
            json.member("issue_date_in_millis", milliseconds(node.started));
            json.member("max_nodes", 1000);
            json.key("max_resource_units").null();
            json.member("issued_to", node.cluster_name);
            json.member("issuer", "penstock");
            json.member("start_date_in_millis", -1);
        });
    });
    return out;
}

/// Features that clients look for; what is not here is not available.
std::string xpack_json(const Node& node) {
    struct Feature {
        const char* name;
        bool available;
    };
    static constexpr std::array<Feature, 9> features{{{"ml", true},
                                                      {"security", false},
                                                      {"watcher", false},
                                                      {"ilm", false},
                                                      {"monitoring", false},
                                                      {"rollup", false},
                                                      {"sql", false},
                                                      {"transform", false},
                                                      {"enrich", false}}};
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member_object("build", [&] {
            json.member("hash", "penstock-" + node.version);
            json.member("date", "2026-01-01T00:00:00.000Z");
        });
        json.member_object("license", [&] {
            json.member("uid", licence_uid(node));
            json.member("type", "basic");
            json.member("mode", "basic");
            json.member("status", "active");
        });
        json.member_object("features", [&] {
            for (const Feature& feature : features) {
                json.member_object(feature.name, [&] {
                    json.member("available", feature.available);
                    json.member("enabled", feature.available);
                });
            }
        });
        json.member("tagline", "You know, for X");
    });
    return out;
}

/// The part of it that a cluster of one node has: who is the master.
std::string cluster_state(const Node& node) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("cluster_name", node.cluster_name);
        json.member("cluster_uuid", node.cluster_id);
        json.member("master_node", node.id);
        json.member_object("nodes", [&] {
            json.member_object(node.id, [&] {
                json.member("name", node.name);
                json.member("transport_address", node.publish_address);
            });
        });
    });
    return out;
}

}  // namespace

void add_cluster_routes(Router& router, Node& node) {
    const auto health = [&node](Request& request) { return get_health(request, node); };
    router.add("GET", "/_cluster/health", health, health_parameters());
    router.add("GET", "/_cluster/health/{index}", health, health_parameters());

    const auto stats = [&node](Request&) -> asio::awaitable<Response> {
        co_return Response::json(co_await runtime::call_on(node.runtime->blocking(),
                                                           [&] { return cluster_stats(node); }));
    };
    router.add("GET", "/_cluster/stats", stats, {"flat_settings", "timeout", "include_remotes"});
    router.add("GET", "/_cluster/stats/nodes/{node}", stats, {"flat_settings", "timeout"});

    const auto state = [&node](Request&) -> asio::awaitable<Response> {
        co_return Response::json(cluster_state(node));
    };
    for (const char* path : {"/_cluster/state", "/_cluster/state/{metric}"})
        router.add("GET", path, state, {"local", "master_timeout", "flat_settings"});

    const auto settings = std::make_shared<ClusterSettings>(node.data / "cluster-settings.json");
    put_in_force(node, *settings);
    router.add(
        "GET", "/_cluster/settings",
        [&node, settings](Request& request) { return get_settings(request, node, settings); },
        {"flat_settings", "include_defaults", "local", "master_timeout", "timeout",
         "cluster_manager_timeout"});
    router.add(
        "PUT", "/_cluster/settings",
        [&node, settings](Request& request) { return put_settings(request, node, settings); },
        {"flat_settings", "master_timeout", "timeout", "cluster_manager_timeout"});

    router.add("GET", "/_license",
               [&node](Request&) -> asio::awaitable<Response> {
                   co_return Response::json(licence_json(node));
               },
               {"accept_enterprise", "local"});
    router.add("GET", "/_xpack",
               [&node](Request&) -> asio::awaitable<Response> {
                   co_return Response::json(xpack_json(node));
               },
               {"accept_enterprise", "categories"});
    add_node_routes(router, node);
    add_metrics_routes(router, node);
}

}  // namespace penstock::serve
