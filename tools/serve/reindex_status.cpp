#include "tools/serve/reindex_status.h"

#include <algorithm>
#include <chrono>

#include "engine/document/json_writer.h"

namespace penstock::serve {

using document::JsonWriter;
using job::ReindexStatus;
using std::chrono::nanoseconds;

namespace {

std::int64_t to_millis(nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

/// The counts of the whole or of one slice.
void write_counts(const job::Totals& totals, std::uint64_t total, std::uint64_t retries,
                  nanoseconds throttled, double rate, JsonWriter& json) {
    json.member("total", total);
    json.member("updated", totals.updated);
    json.member("created", totals.created);
    json.member("deleted", totals.deleted);
    json.member("batches", totals.batches);
    json.member("version_conflicts", totals.version_conflicts);
    json.member("noops", totals.noops + totals.dropped);
    json.member_object("retries", [&] {
        json.member("bulk", 0);
        json.member("search", retries);
    });
    json.member("throttled_millis", to_millis(throttled));
    json.member("requests_per_second", rate);
}

double slice_rate(const ReindexStatus& status) {
    return status.requests_per_second < 0
               ? -1
               : status.requests_per_second / static_cast<double>(status.slices.size());
}

void write_slice(const ReindexStatus& status, std::size_t i, bool cancelled, JsonWriter& json) {
    const job::SliceStatus& slice = status.slices[i];
    json.member("slice_id", i);
    write_counts(slice.totals, slice.total, slice.retries, slice.throttled, slice_rate(status),
                 json);
    if (cancelled || slice.cancelled) json.member("canceled", "by user request");
    json.member("throttled_until_millis", to_millis(slice.throttled_until));
}

void write_status(const ReindexStatus& status, bool cancelled, JsonWriter& json) {
    nanoseconds until{0};
    for (const job::SliceStatus& slice : status.slices)
        until = std::max(until, slice.throttled_until);
    write_counts(status.totals, status.total, status.progress.retries, status.throttled,
                 status.requests_per_second, json);
    if (cancelled) json.member("canceled", "by user request");
    json.member("throttled_until_millis", to_millis(until));
    if (status.slices.size() < 2) return;
    json.member_array("slices", [&] {
        for (std::size_t i = 0; i < status.slices.size(); ++i)
            json.object([&] { write_slice(status, i, cancelled, json); });
    });
}

}  // namespace

std::string reindex_status_json(const ReindexStatus& status, bool cancelled) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_status(status, cancelled, json); });
    return out;
}

std::string slice_status_json(const ReindexStatus& status, std::size_t slice) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_slice(status, slice, false, json); });
    return out;
}

namespace {

void write_failure(const job::FailureNote& failure, JsonWriter& json) {
    json.object([&] {
        json.member("index", failure.index);
        json.member("id", failure.id);
        json.member_object("cause", [&] {
            json.member("type", failure.type);
            json.member("reason", failure.message);
            if (failure.status != 409) return;
            json.member("index_uuid", "_na_");
            json.member("shard", "0");
            json.member("index", failure.index);
        });
        json.member("status", failure.status);
    });
}

}  // namespace

std::string reindex_response_json(const ReindexStatus& status, bool cancelled) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("took", to_millis(status.took));
        json.member("timed_out", false);
        write_status(status, cancelled, json);
        json.member_array("failures", [&] {
            for (const job::FailureNote& failure : status.failures)
                write_failure(failure, json);
        });
    });
    return out;
}

int reindex_response_status(const ReindexStatus& status) {
    int worst = 200;
    for (const job::FailureNote& failure : status.failures)
        worst = std::max(worst, failure.status);
    return worst;
}

}  // namespace penstock::serve
