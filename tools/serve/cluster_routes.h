// What the files of the cluster family share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/pipeline/statistics.h"
#include "tools/serve/node.h"

namespace penstock::serve {

/// Over all indices; those that are damaged count as indices, without documents.
struct IndexTotals {
    std::size_t indices = 0;
    std::size_t damaged = 0;
    std::size_t shards = 0;  ///< primary ones, of those that are not damaged
    std::uint64_t docs = 0;
    std::uint64_t bytes = 0;
};
/// Blocks.
IndexTotals index_totals(const Node& node);

/// The only node's, as Elasticsearch names them, sorted.
std::span<const std::string_view> node_roles();
/// {"total": 1, "successful": 1, "failed": 0} without the braces.
void write_one_of_one(document::JsonWriter& json);
/// "processor_stats": all runs of each kind of processor.
void write_processor_totals(document::JsonWriter& json,
                            const std::vector<pipeline::PipelineStatistics>& pipelines);

void add_node_routes(Router& router, Node& node);     ///< _nodes and below
void add_metrics_routes(Router& router, Node& node);  ///< /metrics and /_health

}  // namespace penstock::serve
