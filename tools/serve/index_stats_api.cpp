// Statistics of indices.
#include <map>

#include "engine/document/json_writer.h"
#include "tools/serve/index_routes.h"
#include "tools/serve/index_state.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;

struct Statistics {
    std::uint64_t docs = 0;
    std::uint64_t bytes = 0;
    int contexts = 0;
};

void write_statistics(JsonWriter& json, const Statistics& statistics) {
    for (const char* part : {"primaries", "total"}) {
        json.member_object(part, [&] {
            json.member_object("docs", [&] {
                json.member("count", statistics.docs);
                json.member("deleted", 0);
                json.member("total_size_in_bytes", statistics.bytes);
            });
            json.member_object("store", [&] {
                json.member("size_in_bytes", statistics.bytes);
                json.member("total_data_set_size_in_bytes", statistics.bytes);
                json.member("reserved_in_bytes", 0);
            });
            json.member_object("search",
                               [&] { json.member("open_contexts", statistics.contexts); });
        });
    }
}

Response index_stats(Node& node, const Request& request, const std::string&) {
    // What is damaged has no numbers, and keeps nobody from those of the others.
    const bool closed_too = !request.query.flag("forbid_closed_indices", true);
    const std::vector<IndexState> states =
        index_states(node, closed_too ? indices_of(node, request) : open_indices_of(node, request));
    std::map<std::string, Statistics> all;
    Statistics sum;
    for (const IndexState& state : states) {
        if (state.damaged) continue;
        const Statistics one{state.info.docs, state.info.bytes,
                             node.indices->open_contexts(state.name)};
        all.emplace(state.name, one);
        sum.docs += one.docs;
        sum.bytes += one.bytes;
        sum.contexts += one.contexts;
    }
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        write_shards(json, states.size(), count_damaged(states));
        json.member_object("_all", [&] { write_statistics(json, sum); });
        json.member_object("indices", [&] {
            for (const IndexState& state : states) {
                if (state.damaged) continue;
                json.member_object(state.name, [&] {
                    json.member("uuid", state.metadata->uuid);
                    json.member("health", "green");
                    json.member("status", state.metadata->closed ? "close" : "open");
                    write_statistics(json, all.at(state.name));
                });
            }
        });
    });
    return Response::json(std::move(out));
}

}  // namespace

void add_index_stats_routes(IndexRoutes& routes) {
    for (const std::string index : {"", "/{index}"}) {
        for (const std::string metric : {"", "/{metric}"})
            routes.add("GET", index + "/_stats" + metric, index_stats,
                       {"level", "fields", "groups", "forbid_closed_indices",
                        "include_segment_file_sizes", "completion_fields", "fielddata_fields"});
    }
}

}  // namespace penstock::serve
