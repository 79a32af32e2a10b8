// What is kept of an index beside its documents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "engine/io/index.h"
#include "tools/serve/index_settings.h"

namespace penstock::serve {

/// How much one search may ask of an index.
struct SearchLimits {
    std::size_t result_window = 10'000;
    std::size_t docvalue_fields = 100;
    std::size_t slices = 1024;
    std::size_t terms = 65'536;
};

/// What clients have said about one index, as JSON objects; kept with the index on disk.
struct IndexMetadata {
    std::string name;
    std::string uuid;  ///< 22 characters
    std::int64_t created_millis = 0;
    std::string settings = "{}";  ///< normalised: {"index": {"default_pipeline": ..., ...}}
    std::string mappings = "{}";
    std::map<std::string, std::string> aliases;  ///< name -> {"filter", "is_write_index", ...}
    // What the above comes to.
    std::string default_pipeline;  ///< empty: none
    std::string final_pipeline;
    std::int64_t shards = 1;
    std::int64_t routing_shards = 1;
    SearchLimits limits;
    bool closed = false;       ///< no documents are read or written until it is opened again
    bool keeps_source = true;  ///< of the mappings' `_source`: {"enabled"}
    /// `refresh_interval` of -1: searches see what was there at the last refresh.
    io::Visibility visibility = io::Visibility::at_once;

    /// Without a routing a document's shard is that of its id. False when a request with `routing`
    /// asks another shard than the one that has the document, where Elasticsearch does not find it.
    bool finds(const std::string& id, const std::string& stored_routing,
               const std::string& routing) const;
};

/// From the index's own file; one that another program made gets what it lacks. Blocks. Throws
/// StorageError for one that is damaged.
IndexMetadata load_metadata(io::IndexStore& store, const std::string& name);

/// Fills in what the settings come to: pipelines, shards and limits.
void take_settings(IndexMetadata& metadata);

/// Every index has these.
void add_defaults(FlatSettings& settings, const std::string& name, const std::string& uuid,
                  std::int64_t created_millis);

FlatSettings settings_of(const std::string& json);

}  // namespace penstock::serve
