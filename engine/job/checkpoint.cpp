#include "engine/job/checkpoint.h"

#include <boost/json.hpp>
#include <cstring>
#include <fstream>
#include <sstream>

#include "engine/runtime/error.h"

namespace penstock::job {

namespace json = boost::json;

namespace {

constexpr std::int64_t format_version = 1;

json::object write_totals(const Totals& totals) {
    return {{"read", totals.read},       {"created", totals.created},
            {"updated", totals.updated}, {"deleted", totals.deleted},
            {"noops", totals.noops},     {"dropped", totals.dropped},
            {"failed", totals.failed},   {"version_conflicts", totals.version_conflicts},
            {"batches", totals.batches}, {"source_incomplete", totals.source_incomplete}};
}

std::uint64_t number(const json::object& object, const char* key) {
    return object.at(key).to_number<std::uint64_t>();
}

Totals read_totals(const json::object& object) {
    Totals totals;
    totals.read = number(object, "read");
    totals.created = number(object, "created");
    totals.updated = number(object, "updated");
    totals.deleted = number(object, "deleted");
    totals.noops = number(object, "noops");
    totals.dropped = number(object, "dropped");
    totals.failed = number(object, "failed");
    totals.version_conflicts = number(object, "version_conflicts");
    totals.batches = number(object, "batches");
    totals.source_incomplete = object.at("source_incomplete").as_bool();
    return totals;
}

std::string text(const json::object& object, const char* key) {
    return std::string(object.at(key).as_string());
}

Checkpoint read(const json::object& object) {
    if (object.at("version").as_int64() != format_version)
        throw std::invalid_argument("another format version");
    Checkpoint checkpoint;
    checkpoint.job = text(object, "job");
    checkpoint.description = text(object, "description");
    checkpoint.sink = text(object, "sink");
    checkpoint.dead_letter = text(object, "dead_letter");
    checkpoint.finished = object.at("finished").as_bool();
    checkpoint.totals = read_totals(object.at("totals").as_object());
    for (const json::value& item : object.at("slices").as_array()) {
        const json::object& slice = item.as_object();
        SliceCheckpoint& read_slice = checkpoint.slices.emplace_back();
        read_slice.position = text(slice, "position");
        read_slice.acknowledged = number(slice, "acknowledged");
        read_slice.started = number(slice, "started");
        read_slice.finished = slice.at("finished").as_bool();
        // Files of earlier releases have the sum alone.
        if (const json::value* totals = slice.if_contains("totals"))
            read_slice.totals = read_totals(totals->as_object());
    }
    return checkpoint;
}

}  // namespace

std::optional<Checkpoint> CheckpointFile::load() const {
    std::ifstream in(path_, std::ios::binary);
    if (!in) return std::nullopt;
    std::stringstream content;
    content << in.rdbuf();
    try {
        return read(json::parse(content.str()).as_object());
    } catch (const std::exception& error) {
        throw Error(path_.string() + " is not a checkpoint that can be used (" + error.what() +
                    "): remove it to start from the beginning");
    }
}

void CheckpointFile::save(const Checkpoint& checkpoint) const {
    json::array slices;
    for (const SliceCheckpoint& slice : checkpoint.slices) {
        slices.push_back(json::object{{"position", slice.position},
                                      {"acknowledged", slice.acknowledged},
                                      {"started", slice.started},
                                      {"finished", slice.finished},
                                      {"totals", write_totals(slice.totals)}});
    }
    json::object object{{"version", format_version},
                        {"job", checkpoint.job},
                        {"description", checkpoint.description},
                        {"slices", std::move(slices)},
                        {"sink", checkpoint.sink},
                        {"dead_letter", checkpoint.dead_letter},
                        {"totals", write_totals(checkpoint.totals)},
                        {"finished", checkpoint.finished}};
    std::filesystem::path next = path_;
    next += ".next";
    {
        std::ofstream out(next, std::ios::binary | std::ios::trunc);
        out << json::serialize(object) << '\n';
        out.flush();
        if (!out) throw Error("cannot write " + next.string() + ": " + std::strerror(errno));
    }
    // A crash of this process leaves the old file or the new one; rename within a folder is atomic
    // (POSIX).
    std::error_code error;
    std::filesystem::rename(next, path_, error);
    if (error) throw Error("cannot write " + path_.string() + ": " + error.message());
}

void CheckpointFile::remove() const {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

}  // namespace penstock::job
