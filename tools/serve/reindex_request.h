// What a reindex, an update by query or a delete by query is asked to do.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index_snapshot.h"
#include "engine/io/query.h"
#include "engine/io/remote_source.h"
#include "engine/job/reindex.h"
#include "tools/serve/http_message.h"
#include "tools/serve/index_registry.h"
#include "tools/serve/source_filter.h"

namespace penstock::serve {

enum class ReindexKind { reindex, update_by_query, delete_by_query };

/// "indices:data/write/reindex" and so on.
std::string_view reindex_action(ReindexKind kind);

struct ReindexRequest {
    ReindexKind kind = ReindexKind::reindex;
    // Where documents come from.
    std::vector<std::string> source;  ///< names, aliases, wildcards
    /// Another cluster, with its address, credentials, query and sort.
    std::optional<io::RemoteOptions> remote;
    ExpandOptions expand = ExpandOptions::for_documents();
    std::shared_ptr<const io::Query> query;  ///< null: all documents
    std::vector<io::SortKey> sort;           ///< of a source that is here; empty: as they lie
    SourceFilter filter;
    std::size_t size = 1000;  ///< documents in a batch
    std::optional<std::uint64_t> max_docs;
    std::optional<std::size_t> slices = 1;  ///< nothing: auto
    // Where they go. For update and delete by query: back.
    std::string dest;
    bool require_alias = false;
    std::optional<std::string> pipeline;  ///< "_none" is none, absent the index's default
    io::WriteOp op = io::WriteOp::index;
    io::VersionType version_type = io::VersionType::internal;
    job::Routing routing = job::Routing::keep;
    std::string routing_value;
    // How.
    job::Conflicts conflicts = job::Conflicts::abort;
    double requests_per_second = -1;
    bool wait_for_completion = true;
    bool refresh = false;               ///< searches see it when the job ends
    std::int64_t active_shards = 1;     ///< copies that a write waits for; there is one
    std::string timeout = "1m";         ///< as it was given, for the words of that wait
    std::vector<std::string> warnings;  ///< about what is deprecated, for the response's headers

    /// For people; without credentials.
    std::string description() const;
};

/// Names of the query string's parameters that `kind` takes.
std::vector<std::string> reindex_parameters(ReindexKind kind);

/// Reads body and query string; `index` is the path's, for update and delete by query. Throws
/// ApiError 400 in Elasticsearch's words where it has them; what is not supported (scripts,
/// runtime mappings, manual slices) is refused with its name.
ReindexRequest parse_reindex(ReindexKind kind, const std::string& index, const Parameters& query,
                             const std::string& body);

/// `requests_per_second` of the query string; nothing when absent. Throws ApiError 400.
std::optional<double> requests_per_second(const Parameters& query);

}  // namespace penstock::serve
