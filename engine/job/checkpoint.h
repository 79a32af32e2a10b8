// How far a reindex is, on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace penstock::job {

/// Counts carried over from run to run.
struct Totals {
    std::uint64_t read = 0;  ///< records taken from the source
    std::uint64_t created = 0;
    std::uint64_t updated = 0;
    std::uint64_t deleted = 0;
    std::uint64_t noops = 0;    ///< replayed after a crash and found to be there already
    std::uint64_t dropped = 0;  ///< by the pipeline
    std::uint64_t failed = 0;   ///< in the dead letter
    std::uint64_t version_conflicts = 0;
    std::uint64_t batches = 0;
    bool source_incomplete = false;  ///< a part of the source could not be read
};

/// One slice's progress. `started` counts records whose writing had begun when the run ended: those
/// after `acknowledged` may or may not have been written. Kept only where writing twice would be a
/// conflict.
struct SliceCheckpoint {
    std::string position;            ///< io::Source::position, of what is acknowledged
    std::uint64_t acknowledged = 0;  ///< records, from the start of the slice
    std::uint64_t started = 0;
    bool finished = false;
    Totals totals;  ///< this slice's share
};

/// What a later run needs to go on: taken after the destination has acknowledged, so that
/// everything before it is written once, and everything after it is done again.
struct Checkpoint {
    std::string
        job;  ///< fingerprint of source, destination, pipeline and options that decide the result
    std::string description;  ///< for people: "a.ndjson -> index:b through c"
    std::vector<SliceCheckpoint> slices;
    std::string sink;         ///< io::Sink::checkpoint
    std::string dead_letter;  ///< io::DeadLetter::checkpoint
    Totals totals;
    bool finished = false;
};

/// A file that is replaced as a whole: a reader sees the old checkpoint or the new one, never a
/// part. Not thread-safe.
class CheckpointFile {
  public:
    explicit CheckpointFile(std::filesystem::path path) : path_(std::move(path)) {}

    const std::filesystem::path& path() const { return path_; }
    /// Nothing when there is no file. Throws penstock::Error when it is not a checkpoint.
    std::optional<Checkpoint> load() const;
    /// Throws penstock::Error when it cannot be written.
    void save(const Checkpoint& checkpoint) const;
    void remove() const;

  private:
    std::filesystem::path path_;
};

}  // namespace penstock::job
