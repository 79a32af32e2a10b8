// Statistics of indices.
#include "engine/document/json_writer.h"
#include "tools/serve/api_error.h"
#include "tools/serve/index_routes.h"
#include "tools/serve/index_sections.h"
#include "tools/serve/index_state.h"

namespace penstock::serve {

namespace {

using document::JsonWriter;

Response index_stats(Node& node, const Request& request, const std::string&) {
    const MetricList metrics(request, request.part("metric"), index_metrics());
    const bool file_sizes = request.query.flag("include_segment_file_sizes");
    const std::string level = request.query.text("level", "indices");
    if (level != "cluster" && level != "indices" && level != "shards")
        throw illegal_argument(
            "level parameter must be one of [cluster] or [indices] or [shards] "
            "but was [" +
            level + "]");
    // What is damaged has no numbers, and keeps nobody from those of the others.
    const bool closed_too = !request.query.flag("forbid_closed_indices", true);
    const std::vector<IndexState> states =
        index_states(node, closed_too ? indices_of(node, request) : open_indices_of(node, request));
    IndexNumbers sum;
    for (const IndexState& state : states) {
        if (!state.damaged) sum.add(IndexNumbers::of(node, state));
    }
    std::string out;
    JsonWriter json(out);
    const auto write = [&](const IndexNumbers& numbers) {
        for (const char* part : {"primaries", "total"})
            json.member_object(part,
                               [&] { write_index_sections(json, numbers, metrics, file_sizes); });
    };
    json.object([&] {
        write_shards(json, states.size(), count_damaged(states));
        json.member_object("_all", [&] { write(sum); });
        if (level == "cluster") return;
        json.member_object("indices", [&] {
            for (const IndexState& state : states) {
                if (state.damaged) continue;
                json.member_object(state.name, [&] {
                    json.member("uuid", state.metadata->uuid);
                    json.member("health", "green");
                    json.member("status", state.metadata->closed ? "close" : "open");
                    write(IndexNumbers::of(node, state));
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
            routes.add(
                "GET", index + "/_stats" + metric, index_stats,
                {"level", "fields", "groups", "forbid_closed_indices", "include_segment_file_sizes",
                 "include_unloaded_segments", "completion_fields", "fielddata_fields"});
    }
}

}  // namespace penstock::serve
