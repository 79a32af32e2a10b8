#include "tools/serve/index_sections.h"

#include <array>
#include <initializer_list>

namespace penstock::serve {

using document::JsonWriter;

namespace {

std::int64_t millis(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

void write_nothing(JsonWriter& json, std::string_view section,
                   std::initializer_list<std::string_view> members) {
    json.member_object(section, [&] {
        for (const std::string_view name : members)
            json.member(name, 0);
    });
}

void write_indexing(JsonWriter& json, const IndexCounts& counts) {
    json.member_object("indexing", [&] {
        json.member("index_total", counts.indexed);
        json.member("index_time_in_millis", millis(counts.writing));
        json.member("index_current", 0);
        json.member("index_failed", counts.index_failed);
        json.member("delete_total", counts.deleted);
        json.member("delete_time_in_millis", 0);  // is in that of indexing
        json.member("delete_current", 0);
        json.member("noop_update_total", 0);
        json.member("is_throttled", false);
        json.member("throttle_time_in_millis", 0);
    });
}

void write_get(JsonWriter& json, const IndexCounts& counts) {
    json.member_object("get", [&] {
        json.member("total", counts.found + counts.missing);
        json.member("time_in_millis", millis(counts.finding + counts.missing_time));
        json.member("exists_total", counts.found);
        json.member("exists_time_in_millis", millis(counts.finding));
        json.member("missing_total", counts.missing);
        json.member("missing_time_in_millis", millis(counts.missing_time));
        json.member("current", 0);
    });
}

void write_search(JsonWriter& json, const IndexNumbers& numbers) {
    json.member_object("search", [&] {
        json.member("open_contexts", numbers.contexts);
        json.member("query_total", numbers.counts.searches);
        json.member("query_time_in_millis", millis(numbers.counts.searching));
        // One phase does all of it.
        for (const char* name :
             {"query_current", "fetch_total", "fetch_time_in_millis", "fetch_current",
              "scroll_total", "scroll_time_in_millis", "scroll_current", "suggest_total",
              "suggest_time_in_millis", "suggest_current"})
            json.member(name, 0);
    });
}

void write_contents(JsonWriter& json, const IndexNumbers& numbers, const MetricList& metrics) {
    if (metrics.want("docs")) {
        json.member_object("docs", [&] {
            json.member("count", numbers.docs);
            json.member("deleted", 0);
            json.member("total_size_in_bytes", numbers.bytes);
        });
    }
    if (metrics.want("store")) {
        json.member_object("store", [&] {
            json.member("size_in_bytes", numbers.bytes);
            json.member("total_data_set_size_in_bytes", numbers.bytes);
            json.member("reserved_in_bytes", 0);
        });
    }
}

/// An index is one file.
void write_segments(JsonWriter& json, const IndexNumbers& numbers, bool file_sizes) {
    json.member_object("segments", [&] {
        json.member("count", numbers.indices);
        for (const char* name :
             {"memory_in_bytes", "terms_memory_in_bytes", "stored_fields_memory_in_bytes",
              "term_vectors_memory_in_bytes", "norms_memory_in_bytes", "points_memory_in_bytes",
              "doc_values_memory_in_bytes", "index_writer_memory_in_bytes",
              "version_map_memory_in_bytes", "fixed_bit_set_memory_in_bytes"})
            json.member(name, 0);
        json.member("max_unsafe_auto_id_timestamp", -1);
        json.member_object("file_sizes", [&] {
            if (!file_sizes || numbers.indices == 0) return;
            json.member_object("db", [&] {
                json.member("description", "SQLite database");
                json.member("size_in_bytes", numbers.bytes);
                json.member("count", numbers.indices);
            });
        });
    });
}

void write_upkeep(JsonWriter& json, const MetricList& metrics) {
    if (metrics.want("merge"))
        write_nothing(
            json, "merges",
            {"current", "current_docs", "current_size_in_bytes", "total", "total_time_in_millis",
             "total_docs", "total_size_in_bytes", "total_stopped_time_in_millis",
             "total_throttled_time_in_millis", "total_auto_throttle_in_bytes"});
    if (metrics.want("refresh"))
        write_nothing(json, "refresh",
                      {"total", "total_time_in_millis", "external_total",
                       "external_total_time_in_millis", "listeners"});
    if (metrics.want("flush"))
        write_nothing(json, "flush", {"total", "periodic", "total_time_in_millis"});
    if (metrics.want("warmer"))
        write_nothing(json, "warmer", {"current", "total", "total_time_in_millis"});
    if (metrics.want("query_cache"))
        write_nothing(json, "query_cache",
                      {"memory_size_in_bytes", "total_count", "hit_count", "miss_count",
                       "cache_size", "cache_count", "evictions"});
    if (metrics.want("fielddata"))
        write_nothing(json, "fielddata", {"memory_size_in_bytes", "evictions"});
    if (metrics.want("completion")) write_nothing(json, "completion", {"size_in_bytes"});
}

}  // namespace

void IndexNumbers::add(const IndexNumbers& more) {
    indices += more.indices;
    docs += more.docs;
    bytes += more.bytes;
    contexts += more.contexts;
    counts += more.counts;
}

IndexNumbers IndexNumbers::of(const Node& node, const IndexState& state) {
    return {1, state.info.docs, state.info.bytes, node.indices->open_contexts(state.name),
            node.indices->activity().of(state.name)};
}

std::span<const std::string_view> index_metrics() {
    static constexpr std::array<std::string_view, 21> names{
        "bulk",    "completion",    "dense_vector", "docs",     "fielddata",   "flush",
        "get",     "indexing",      "mappings",     "merge",    "query_cache", "recovery",
        "refresh", "request_cache", "search",       "segments", "shard_stats", "sparse_vector",
        "store",   "translog",      "warmer"};
    return names;
}

void write_index_sections(JsonWriter& json, const IndexNumbers& numbers, const MetricList& metrics,
                          bool file_sizes) {
    write_contents(json, numbers, metrics);
    if (metrics.want("indexing")) write_indexing(json, numbers.counts);
    if (metrics.want("get")) write_get(json, numbers.counts);
    if (metrics.want("search")) write_search(json, numbers);
    write_upkeep(json, metrics);
    if (metrics.want("segments")) write_segments(json, numbers, file_sizes);
    if (metrics.want("translog"))
        write_nothing(json, "translog",
                      {"operations", "size_in_bytes", "uncommitted_operations",
                       "uncommitted_size_in_bytes", "earliest_last_modified_age"});
    if (metrics.want("request_cache"))
        write_nothing(json, "request_cache",
                      {"memory_size_in_bytes", "evictions", "hit_count", "miss_count"});
    if (metrics.want("recovery"))
        write_nothing(json, "recovery",
                      {"current_as_source", "current_as_target", "throttle_time_in_millis"});
    if (metrics.want("shard_stats")) {
        json.member_object("shard_stats", [&] { json.member("total_count", numbers.indices); });
    }
}

}  // namespace penstock::serve
