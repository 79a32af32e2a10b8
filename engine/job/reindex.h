// The long job: everything from a source, through a pipeline, into a sink.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/dead_letter.h"
#include "engine/io/sink.h"
#include "engine/io/source.h"
#include "engine/job/batch.h"
#include "engine/job/checkpoint.h"
#include "engine/pipeline/pipeline.h"
#include "engine/runtime/runtime.h"

namespace penstock::job {

enum class Conflicts : std::uint8_t { abort, proceed };

/// Names and defaults as in Elasticsearch's reindex API where it has them.
struct ReindexSettings {
    BatchSettings batch;
    std::size_t size = 1000;                ///< documents in a batch, at most
    std::size_t batch_bytes = 1024 * 1024;  ///< and source bytes; less where slices are many
    std::size_t batches_in_flight = 0;      ///< per slice; 0: one more than threads that run them
    std::optional<std::uint64_t> max_docs;  ///< over all slices, divided evenly
    Conflicts conflicts = Conflicts::abort;
    double requests_per_second = -1;  ///< documents a second over all slices; -1: no limit
    /// How Elasticsearch ends a job: of a batch with failures all is written that can be, its
    /// failures (conflicts too, where they abort) are in the status, whole, and nothing follows.
    bool collect_failures = false;
    std::string fingerprint;  ///< of all that decides the result; see Checkpoint::job
    std::string description;
};

/// One pipeline, and the set that holds it with all that it calls.
struct PipelineStage {
    std::shared_ptr<const pipeline::PipelineSet> set;
    const pipeline::Pipeline* pipeline = nullptr;
};

/// What the job works with. One sink for all slices; one source a slice.
struct ReindexParts {
    std::shared_ptr<const pipeline::PipelineSet> pipelines;
    const pipeline::Pipeline* pipeline = nullptr;  ///< null: documents go as they are
    /// Instead of `pipeline`, for documents of the index that is the key: run one after another.
    /// A batch's documents then are of one index (see io::Record::index). The empty key stands for
    /// all that are not named.
    std::map<std::string, std::vector<PipelineStage>, std::less<>> stages;
    std::vector<std::unique_ptr<io::Source>> sources;
    std::unique_ptr<io::Sink> sink;
    std::unique_ptr<io::DeadLetter> dead_letter;  ///< may be null
    /// Told of every failed document, one call at a time, on a pool thread; may be empty. With
    /// neither this nor a dead letter a failed document ends the job.
    std::function<void(const io::DeadDocument&)> on_failed;
    std::optional<CheckpointFile> checkpoint;  ///< none: the job cannot be resumed
    /// Where sources are read and closed; null: the runtime's blocking pool.
    boost::asio::any_io_executor reading;
    /// Called once, on the blocking pool, before the first documents are written; may be empty.
    /// What it throws ends the job.
    std::function<void()> before_writing;
};

enum class ReindexState : std::uint8_t { running, finished, cancelled, failed };

/// One failed document, for people and for the response. The whole is in the dead letter.
struct FailureNote {
    std::string location;
    std::string index;
    std::string id;
    std::string type;
    std::string message;
    int status = 400;  ///< as Elasticsearch's bulk answer has it
};

/// One slice's part of it.
struct SliceStatus {
    Totals totals;
    std::uint64_t retries = 0;  ///< of reading
    std::uint64_t total = 0;    ///< documents to do, as far as it is known; at least those read
    std::chrono::nanoseconds throttled{0};
    std::chrono::nanoseconds throttled_until{0};  ///< how long it still waits
    bool cancelled = false;
};

/// A moment's numbers. Totals include earlier runs of a resumed job; `read_now` is this run's.
struct ReindexStatus {
    ReindexState state = ReindexState::running;
    Totals totals;
    std::uint64_t read_now = 0;
    std::uint64_t written_now = 0;
    std::chrono::nanoseconds took{0};
    std::chrono::nanoseconds throttled{0};
    double requests_per_second = -1;
    io::Progress progress;  ///< summed over the slices
    bool resumed = false;
    std::string error;                  ///< why it failed
    std::exception_ptr problem;         ///< likewise, as it was thrown
    std::vector<FailureNote> failures;  ///< the first of this run; see collect_failures
    std::vector<SliceStatus> slices;
    std::uint64_t total = 0;  ///< summed over the slices
};

/// Runs once. Reading, processing and writing overlap, joined by bounded queues: a slow model or
/// sink stops the reader. Batches are written, and acknowledged to the checkpoint, in the source's
/// order. Status, cancel and rethrottle may be called from any thread while `run` is awaited.
class Reindex {
  public:
    Reindex(runtime::Runtime& runtime, ReindexSettings settings, ReindexParts parts);
    ~Reindex();

    /// Goes on after `checkpoint`; before run. Throws penstock::Error when it is of another job, or
    /// when source or sink no longer fit it.
    void resume(const Checkpoint& checkpoint);

    /// Resumes on the caller's executor when all is done, cancelled or failed; the answer is the
    /// final status. Does not throw for what happens to the job.
    boost::asio::awaitable<ReindexStatus> run();

    ReindexStatus status() const;
    /// Stops reading, also from a pipe that has nothing to say; what is in flight is finished,
    /// written and acknowledged.
    void cancel();
    /// Also gives up what is in flight (it is done again by a resume).
    void cancel_now();
    /// Ends one slice as cancel() ends all.
    void cancel_slice(std::size_t slice);
    /// A higher rate holds at once, a lower one after the batch that waits.
    void rethrottle(double requests_per_second);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace penstock::job
