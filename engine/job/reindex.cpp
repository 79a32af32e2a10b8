#include "engine/job/reindex.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <mutex>
#include <utility>

#include "engine/runtime/await.h"

namespace penstock::job {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t failures_shown = 5;
// Source bytes of all slices together, as far as records are not larger than a batch.
constexpr std::size_t memory_in_flight = 64 * 1024 * 1024;
constexpr std::size_t smallest_batch = 16 * 1024;
constexpr std::size_t batches_outside_queue = 3;  // being read, being sent, being written

/// A batch in flight: processed on its own strand, so that it can be cancelled from outside.
struct Work {
    explicit Work(const asio::any_io_executor& cpu)
        : strand(asio::make_strand(cpu)), done(cpu, 1) {}

    Batch batch;
    std::uint64_t first_record = 0;  // within the slice
    std::string end_position;
    std::exception_ptr problem;
    asio::strand<asio::any_io_executor> strand;
    asio::cancellation_signal cancel;
    asio::experimental::concurrent_channel<void(error_code)> done;
    std::map<const pipeline::Pipeline*, std::unique_ptr<pipeline::Executor>> executors;
};
using WorkPtr = std::shared_ptr<Work>;

struct Slice {
    Slice(std::unique_ptr<io::Source> the_source, const asio::any_io_executor& cpu,
          std::size_t in_flight)
        : source(std::move(the_source)), pending(cpu, in_flight) {
        // A slice of an index knows its range by this alone: at a resume the others' ranges would
        // else be of one state of the index and its own of another.
        checkpoint.position = source->position();
        progress = source->progress();
    }

    std::unique_ptr<io::Source> source;
    asio::experimental::concurrent_channel<void(error_code, WorkPtr)>
        pending;  // in order; null ends it
    SliceCheckpoint checkpoint;
    std::uint64_t read = 0;          // records, from the slice's start
    std::uint64_t replay_until = 0;  // records before this may have been written by an earlier run
    std::uint64_t limit = ~std::uint64_t{0};
    std::atomic<bool> stopped{false};  // this slice alone is to read no more
    // Guarded by Impl::mutex:
    io::Progress progress;
    Clock::time_point next_batch;  // when throttling lets the next one go
    std::chrono::nanoseconds throttled{0};
};

std::string describe(const std::exception_ptr& problem) {
    try {
        std::rethrow_exception(problem);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "unknown error";
    }
}

}  // namespace

struct Reindex::Impl : std::enable_shared_from_this<Reindex::Impl> {
    Impl(runtime::Runtime& the_runtime, ReindexSettings the_settings, ReindexParts the_parts)
        : runtime(the_runtime),
          settings(std::move(the_settings)),
          parts(std::move(the_parts)),
          sink_lock(the_runtime.cpu(), 1),
          ended(the_runtime.cpu(), parts.sources.size() * 2) {
        if (!parts.reading) parts.reading = runtime.blocking();
        if (parts.pipeline != nullptr) stages.push_back({parts.pipelines, parts.pipeline});
        std::size_t window = settings.batches_in_flight;
        if (window == 0) window = static_cast<std::size_t>(runtime.cpu_threads()) + 1;
        std::size_t count = parts.sources.size();
        // Many slices share the memory that few would have: smaller batches, not more bytes.
        std::size_t share = memory_in_flight / (count * (window + batches_outside_queue));
        settings.batch_bytes = std::min(settings.batch_bytes, std::max(share, smallest_batch));
        for (std::size_t i = 0; i < count; ++i) {
            slices.push_back(
                std::make_unique<Slice>(std::move(parts.sources[i]), runtime.cpu(), window));
            if (settings.max_docs) {
                slices.back()->limit =
                    *settings.max_docs / count + (i < *settings.max_docs % count ? 1 : 0);
            }
        }
        status.requests_per_second = settings.requests_per_second;
    }

    // ---- reading

    awaitable<void> read_slice(Slice& slice) {
        while (!stopping && !slice.stopped && slice.read < slice.limit) {
            WorkPtr work = take_work();
            std::size_t most = static_cast<std::size_t>(
                std::min<std::uint64_t>(settings.size, slice.limit - slice.read));
            bool more = co_await runtime::call_on(parts.reading, [&] {
                return slice.source->read(work->batch.records, most, settings.batch_bytes);
            });
            {
                std::lock_guard lock(mutex);
                slice.progress = slice.source->progress();
                status.read_now += work->batch.records.records.size();
            }
            if (!more) break;
            work->first_record = slice.read;
            work->end_position = work->batch.records.end_position;
            slice.read += work->batch.records.records.size();
            asio::co_spawn(work->strand, process(shared_from_this(), work),
                           asio::bind_cancellation_slot(work->cancel.slot(),
                                                        [work](std::exception_ptr problem) {
                                                            work->problem = problem;
                                                            work->done.try_send(error_code());
                                                        }));
            // Only now: a cancel must not meet the slot while co_spawn fills it.
            remember(work);
            co_await slice.pending.async_send(error_code(), work, use_awaitable);
        }
    }

    // ---- processing

    static awaitable<void> process(std::shared_ptr<Impl> self, WorkPtr work) {
        Batch& batch = work->batch;
        batch.parse(self->settings.batch);
        batch.results().assign(batch.documents().size(), {pipeline::Fate::done, {}});
        for (const PipelineStage& stage : self->stages_of(batch))
            co_await run_stage(*work, stage);
        batch.render(self->settings.batch);
    }

    const std::vector<PipelineStage>& stages_of(const Batch& batch) const {
        if (parts.stages.empty() || batch.records.records.empty()) return stages;
        auto found = parts.stages.find(batch.records.records.front().index);
        if (found == parts.stages.end()) found = parts.stages.find("");
        return found == parts.stages.end() ? stages : found->second;
    }

    /// What the stages before have let through goes through this one.
    static awaitable<void> run_stage(Work& work, const PipelineStage& stage) {
        std::unique_ptr<pipeline::Executor>& executor = work.executors[stage.pipeline];
        if (!executor) executor = std::make_unique<pipeline::Executor>(stage.set, *stage.pipeline);
        std::vector<pipeline::ExecutionResult>& results = work.batch.results();
        std::vector<document::Document*> passing;
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (results[i].fate != pipeline::Fate::done) continue;
            passing.push_back(work.batch.documents()[i]);
            places.push_back(i);
        }
        std::vector<pipeline::ExecutionResult> made;
        co_await executor->run(passing, made);
        for (std::size_t i = 0; i < made.size(); ++i)
            results[places[i]] = std::move(made[i]);
    }

    // ---- writing

    awaitable<void> write_slice(Slice& slice) {
        while (WorkPtr work = co_await slice.pending.async_receive(use_awaitable)) {
            co_await work->done.async_receive(use_awaitable);
            release(work);
            co_await sink_lock.async_send(error_code(), use_awaitable);
            if (work->problem) fail(work->problem);
            // What follows a failed batch is not written, in any slice: a resume does it.
            if (!aborted)
                co_await runtime::call_on(runtime.blocking(), [&] { try_write(slice, *work); });
            unlock_sink();
            if (aborted) continue;
            std::size_t records = work->batch.records.records.size();
            give_back(std::move(work));
            co_await throttle(slice, records);
        }
    }

    void try_write(Slice& slice, Work& work) {
        try {
            write(slice, work);
        } catch (...) {
            torn = true;
            fail(std::current_exception());
        }
    }

    /// On the blocking pool, holding the sink's lock.
    void write(Slice& slice, Work& work) {
        Batch& batch = work.batch;
        Totals change;
        change.batches = 1;
        change.read = batch.records.records.size();
        change.dropped = batch.dropped();
        note_started(slice, work);
        std::vector<io::ItemResult> results;
        const std::span<const io::WriteItem> items = writable(batch);
        if (!items.empty()) {
            if (parts.before_writing) std::exchange(parts.before_writing, nullptr)();
            parts.sink->write(items, results);
        }
        Trouble trouble;
        for (std::size_t i = 0; i < results.size(); ++i)
            count(slice, work, i, results[i], change, trouble);
        for (const io::Record& record : batch.records.records) {
            if (record.kind == io::RecordKind::bad_source) change.source_incomplete = true;
        }
        change.failed = batch.failed().size();
        if (settings.collect_failures) {
            collect_failures(batch, trouble);
        } else {
            report_failures(batch);
        }
        slice.checkpoint.position = work.end_position;
        slice.checkpoint.acknowledged = work.first_record + change.read;
        slice.checkpoint.started =
            std::max(slice.checkpoint.started, slice.checkpoint.acknowledged);
        {
            std::lock_guard lock(mutex);
            add(status.totals, change);
            add(slice.checkpoint.totals, change);
            status.written_now += change.read;
            status.failures.insert(status.failures.end(), trouble.notes.begin(),
                                   trouble.notes.end());
        }
        if (parts.checkpoint) parts.checkpoint->save(current_checkpoint());
        // Known and counted, so a resume goes on behind it.
        if (!trouble.conflict.empty()) fail(std::make_exception_ptr(Error(trouble.conflict)));
        if (!trouble.notes.empty())
            fail(std::make_exception_ptr(Error(trouble.notes.front().message)));
    }

    /// What ends the job behind a batch.
    struct Trouble {
        std::string conflict;
        std::vector<FailureNote> notes;  // with collect_failures
    };

    /// Writing such an item a second time is a conflict with itself. A resume has to tell that from
    /// a conflict with somebody else's document, so it must know what may have been written.
    static bool conflicts_with_itself(const io::WriteItem& item) {
        return item.op == io::WriteOp::create || item.version_type != io::VersionType::internal ||
               item.if_seq_no >= 0;
    }

    void note_started(Slice& slice, const Work& work) {
        const auto& items = work.batch.items();
        if (!parts.checkpoint || std::none_of(items.begin(), items.end(), conflicts_with_itself))
            return;
        std::uint64_t end = work.first_record + work.batch.records.records.size();
        slice.checkpoint.started = std::max(slice.checkpoint.started, end);
        parts.checkpoint->save(current_checkpoint());
    }

    void count(const Slice& slice, Work& work, std::size_t i, io::ItemResult& result,
               Totals& change, Trouble& trouble) {
        if (result.ok()) {
            std::string_view what = result.result;
            ++(what == "created"   ? change.created
               : what == "deleted" ? change.deleted
                                   : change.updated);
        } else if (result.status == 409) {
            count_conflict(slice, work, i, result, change, trouble);
        } else if (settings.collect_failures) {
            trouble.notes.push_back(note(work, i, result));
        } else {
            document::Failure failure = document::failure(std::move(result.error_reason));
            failure.type = document::FailureType::illegal_argument;
            work.batch.failed().push_back({work.batch.record_of(i), std::move(failure), true});
        }
    }

    void count_conflict(const Slice& slice, Work& work, std::size_t i, io::ItemResult& result,
                        Totals& change, Trouble& trouble) {
        std::uint32_t record = work.batch.record_of(i);
        if (work.first_record + record < slice.replay_until) {
            ++change.noops;  // written by the run that was killed
            return;
        }
        ++change.version_conflicts;
        if (settings.conflicts == Conflicts::proceed) return;
        if (settings.collect_failures) {
            trouble.notes.push_back(note(work, i, result));
        } else if (trouble.conflict.empty()) {
            trouble.conflict = result.error_reason + " (document at " +
                               work.batch.records.location(work.batch.records.records[record]) +
                               "; conflicts=proceed counts such documents and goes on)";
        }
    }

    static FailureNote note(const Work& work, std::size_t i, const io::ItemResult& result) {
        const Batch& batch = work.batch;
        const io::WriteItem& item = batch.items()[i];
        return {batch.records.location(batch.records.records[batch.record_of(i)]),
                std::string(item.index),
                std::string(item.id),
                result.error_type,
                result.error_reason,
                result.status};
    }

    /// The documents that did not get as far as the sink.
    void collect_failures(Batch& batch, Trouble& trouble) const {
        for (const FailedDocument& failed : batch.failed()) {
            const io::DeadDocument dead = batch.dead_letter(failed);
            trouble.notes.push_back(
                {std::string(dead.location),
                 settings.batch.in_place ? std::string(dead.index) : settings.batch.index,
                 std::string(dead.id), std::string(dead.type), std::string(dead.message),
                 document::http_status(failed.failure.type)});
        }
    }

    /// All items; where a failure ends the job, those of the documents before the first that
    /// failed.
    std::span<const io::WriteItem> writable(Batch& batch) const {
        std::span<const io::WriteItem> items = batch.items();
        if (settings.collect_failures || parts.dead_letter || parts.on_failed ||
            batch.failed().empty())
            return items;
        std::uint32_t first_failed = ~std::uint32_t{0};
        for (const FailedDocument& failed : batch.failed())
            first_failed = std::min(first_failed, failed.record);
        std::size_t count = 0;
        while (count < items.size() && batch.record_of(count) < first_failed)
            ++count;
        return items.first(count);
    }

    void report_failures(Batch& batch) {
        std::stable_sort(
            batch.failed().begin(), batch.failed().end(),
            [](const FailedDocument& a, const FailedDocument& b) { return a.record < b.record; });
        for (const FailedDocument& failed : batch.failed()) {
            io::DeadDocument dead = batch.dead_letter(failed);
            if (!parts.dead_letter && !parts.on_failed) {
                throw Error("document at " + std::string(dead.location) +
                            " failed: " + std::string(dead.message));
            }
            if (parts.dead_letter) parts.dead_letter->write(dead);
            if (parts.on_failed) parts.on_failed(dead);
            std::lock_guard lock(mutex);
            if (status.failures.size() < failures_shown) {
                status.failures.push_back({std::string(dead.location), std::string(dead.index),
                                           std::string(dead.id), std::string(dead.type),
                                           std::string(dead.message),
                                           document::http_status(failed.failure.type)});
            }
        }
        if (parts.dead_letter) parts.dead_letter->flush();
    }

    /// With the sink's lock held: all slices, the sink and the dead letter at one moment.
    Checkpoint current_checkpoint() {
        Checkpoint checkpoint;
        checkpoint.job = settings.fingerprint;
        checkpoint.description = settings.description;
        for (const auto& slice : slices)
            checkpoint.slices.push_back(slice->checkpoint);
        checkpoint.sink = parts.sink->checkpoint();
        if (parts.dead_letter) checkpoint.dead_letter = parts.dead_letter->checkpoint();
        std::lock_guard lock(mutex);
        checkpoint.totals = status.totals;
        return checkpoint;
    }

    static void add(Totals& totals, const Totals& change) {
        totals.read += change.read;
        totals.created += change.created;
        totals.updated += change.updated;
        totals.deleted += change.deleted;
        totals.noops += change.noops;
        totals.dropped += change.dropped;
        totals.failed += change.failed;
        totals.version_conflicts += change.version_conflicts;
        totals.batches += change.batches;
        totals.source_incomplete = totals.source_incomplete || change.source_incomplete;
    }

    /// Holds the slice back until its share of the rate allows the next batch. Short waits, so that
    /// a cancel or another rate takes effect soon.
    awaitable<void> throttle(Slice& slice, std::size_t records) {
        const auto begun = Clock::now();
        asio::steady_timer timer(co_await asio::this_coro::executor);
        auto next = Clock::time_point::max();
        while (!stopping && !slice.stopped) {
            // Another rate that is higher holds for this batch too.
            next = std::min(next, begun + time_for(records));
            const auto from = Clock::now();
            set_next_batch(slice, next);
            if (next <= from) break;
            timer.expires_at(std::min(next, from + std::chrono::milliseconds(100)));
            co_await timer.async_wait(use_awaitable);
        }
        set_next_batch(slice, begun);
        // As in Elasticsearch, what the rate asks for that holds in the end: nothing where it was
        // lifted meanwhile.
        const auto slept = std::max(std::min(next, Clock::now()), begun) - begun;
        std::lock_guard lock(mutex);
        status.throttled += slept;
        slice.throttled += slept;
    }

    Clock::duration time_for(std::size_t records) const {
        const double rate = requests_per_second();
        if (rate <= 0) return Clock::duration::zero();
        constexpr double longest_wait = 1e9;  // seconds; the clock's range is not much more
        const double wait =
            static_cast<double>(records) * static_cast<double>(slices.size()) / rate;
        return std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(std::min(wait, longest_wait)));
    }

    void set_next_batch(Slice& slice, Clock::time_point time) {
        std::lock_guard lock(mutex);
        slice.next_batch = time;
    }

    double requests_per_second() const {
        std::lock_guard lock(mutex);
        return status.requests_per_second;
    }

    void unlock_sink() {
        sink_lock.try_receive([](error_code) {});
    }

    // ---- batches in flight

    WorkPtr take_work() {
        std::lock_guard lock(mutex);
        if (idle.empty()) return std::make_shared<Work>(runtime.cpu());
        WorkPtr work = std::move(idle.back());
        idle.pop_back();
        return work;
    }
    void give_back(WorkPtr work) {
        std::lock_guard lock(mutex);
        idle.push_back(std::move(work));
    }
    void remember(const WorkPtr& work) {
        std::lock_guard lock(mutex);
        in_flight.push_back(work);
    }
    void release(const WorkPtr& work) {
        std::lock_guard lock(mutex);
        std::erase(in_flight, work);
    }

    // ---- the whole

    void fail(std::exception_ptr problem) {
        {
            std::lock_guard lock(mutex);
            if (!aborted) {
                status.error = describe(problem);
                status.problem = problem;
            }
            aborted = true;
            stopping = true;
        }
        // Nobody waits for a source that has nothing to say, when what it said would not be
        // written.
        for (const auto& slice : slices)
            slice->source->interrupt();
    }

    static awaitable<void> reader(std::shared_ptr<Impl> self, Slice& slice) {
        try {
            co_await self->read_slice(slice);
        } catch (...) {
            self->fail(std::current_exception());
        }
        co_await runtime::call_on(self->parts.reading, [&] { slice.source->close(); });
        co_await slice.pending.async_send(error_code(), nullptr, use_awaitable);
    }

    static awaitable<void> writer(std::shared_ptr<Impl> self, Slice& slice) {
        co_await self->write_slice(slice);
    }

    /// Before anything is written: a kill from now on finds a checkpoint to go on from, and a
    /// destination that cannot be written is found before the work is done.
    void begin() {
        try {
            if (parts.checkpoint) parts.checkpoint->save(current_checkpoint());
        } catch (...) {
            torn = true;
            fail(std::current_exception());
        }
    }

    awaitable<void> run() {
        {
            std::lock_guard lock(mutex);
            start = Clock::now();
        }
        auto tell = [self = shared_from_this()](std::exception_ptr problem) {
            if (problem) self->fail(problem);
            self->ended.try_send(error_code());
        };
        co_await runtime::call_on(runtime.blocking(), [this] { begin(); });
        for (auto& slice : slices) {
            asio::co_spawn(runtime.cpu(), reader(shared_from_this(), *slice), tell);
            asio::co_spawn(runtime.cpu(), writer(shared_from_this(), *slice), tell);
        }
        for (std::size_t i = 0; i < slices.size() * 2; ++i)
            co_await ended.async_receive(use_awaitable);
        try {
            co_await runtime::call_on(runtime.blocking(), [this] { conclude(); });
        } catch (...) {
            fail(std::current_exception());
        }
        std::lock_guard lock(mutex);
        status.took = Clock::now() - start;
        status.state = aborted     ? (cancelled ? ReindexState::cancelled : ReindexState::failed)
                       : cancelled ? ReindexState::cancelled
                                   : ReindexState::finished;
    }

    void conclude() {
        parts.sink->flush();
        if (!parts.checkpoint || torn) return;
        Checkpoint checkpoint = current_checkpoint();
        checkpoint.finished = !stopping;
        for (SliceCheckpoint& slice : checkpoint.slices)
            slice.finished = checkpoint.finished;
        parts.checkpoint->save(checkpoint);
    }

    /// With the mutex held.
    SliceStatus slice_status(const Slice& slice) const {
        SliceStatus now;
        now.totals = slice.checkpoint.totals;
        now.retries = slice.progress.retries;
        now.total = now.totals.read;
        if (status.state != ReindexState::finished)
            now.total = std::max(now.total,
                                 std::min(slice.limit, slice.progress.records_total.value_or(0)));
        now.throttled = slice.throttled;
        now.throttled_until = std::max(slice.next_batch - Clock::now(), Clock::duration::zero());
        now.cancelled = cancelled || slice.stopped;
        return now;
    }

    ReindexStatus snapshot() const {
        std::lock_guard lock(mutex);
        ReindexStatus now = status;
        if (now.state == ReindexState::running && start != Clock::time_point())
            now.took = Clock::now() - start;
        now.progress = {};
        bool bytes = true;
        bool records = true;
        std::uint64_t total_bytes = 0;
        std::uint64_t total_records = 0;
        for (const auto& slice : slices) {
            now.progress.bytes_read += slice->progress.bytes_read;
            now.progress.records_read += slice->progress.records_read;
            now.progress.retries += slice->progress.retries;
            total_bytes += slice->progress.bytes_total.value_or(0);
            total_records += slice->progress.records_total.value_or(0);
            bytes = bytes && slice->progress.bytes_total.has_value();
            records = records && slice->progress.records_total.has_value();
        }
        for (const auto& slice : slices) {
            now.slices.push_back(slice_status(*slice));
            now.total += now.slices.back().total;
        }
        if (bytes) now.progress.bytes_total = total_bytes;
        if (records) now.progress.records_total = total_records;
        return now;
    }

    runtime::Runtime& runtime;
    ReindexSettings settings;
    ReindexParts parts;
    std::vector<PipelineStage> stages;  // where parts.stages has none
    std::vector<std::unique_ptr<Slice>> slices;
    asio::experimental::concurrent_channel<void(error_code)> sink_lock;  // held while full
    asio::experimental::concurrent_channel<void(error_code)> ended;
    std::atomic<bool> stopping{false};  // read no more
    std::atomic<bool> aborted{false};   // write no more
    std::atomic<bool> cancelled{false};
    std::atomic<bool> torn{
        false};  // a batch was written in part: no checkpoint fits the destination any more
    mutable std::mutex mutex;  // guards what follows, and Slice::progress
    Clock::time_point start;
    ReindexStatus status;
    std::vector<WorkPtr> idle;
    std::vector<WorkPtr> in_flight;
};

Reindex::Reindex(runtime::Runtime& runtime, ReindexSettings settings, ReindexParts parts)
    : impl_(std::make_shared<Impl>(runtime, std::move(settings), std::move(parts))) {}
Reindex::~Reindex() = default;

void Reindex::resume(const Checkpoint& checkpoint) {
    Impl& impl = *impl_;
    if (checkpoint.job != impl.settings.fingerprint) {
        throw Error(
            "the checkpoint is of another job (" + checkpoint.description +
            "), or its pipeline or options have changed since: start again without resuming");
    }
    if (checkpoint.slices.size() != impl.slices.size()) {
        throw Error("the checkpoint has " + std::to_string(checkpoint.slices.size()) +
                    " slices, this job " + std::to_string(impl.slices.size()));
    }
    for (std::size_t i = 0; i < impl.slices.size(); ++i) {
        Slice& slice = *impl.slices[i];
        slice.checkpoint = checkpoint.slices[i];
        slice.checkpoint.finished = false;
        slice.read = slice.checkpoint.acknowledged;
        slice.replay_until = slice.checkpoint.started;
        if (!slice.checkpoint.position.empty()) slice.source->seek(slice.checkpoint.position);
        slice.progress = slice.source->progress();
    }
    if (!checkpoint.sink.empty()) impl.parts.sink->restore(checkpoint.sink);
    if (impl.parts.dead_letter && !checkpoint.dead_letter.empty())
        impl.parts.dead_letter->restore(checkpoint.dead_letter);
    impl.status.totals = checkpoint.totals;
    impl.status.resumed = true;
}

awaitable<ReindexStatus> Reindex::run() {
    std::shared_ptr<Impl> impl = impl_;
    co_await impl->run();
    co_return impl->snapshot();
}

ReindexStatus Reindex::status() const {
    return impl_->snapshot();
}

void Reindex::cancel() {
    impl_->cancelled = true;
    impl_->stopping = true;
    for (const auto& slice : impl_->slices)
        slice->source->interrupt();
}

void Reindex::cancel_now() {
    impl_->cancelled = true;
    impl_->stopping = true;
    impl_->aborted = true;
    for (const auto& slice : impl_->slices)
        slice->source->interrupt();
    std::lock_guard lock(impl_->mutex);
    for (const WorkPtr& work : impl_->in_flight) {
        // On the batch's own strand: a cancellation slot is not thread-safe.
        asio::post(work->strand, [work] { work->cancel.emit(asio::cancellation_type::terminal); });
    }
}

void Reindex::cancel_slice(std::size_t slice) {
    Slice& stopped = *impl_->slices.at(slice);
    stopped.stopped = true;
    stopped.source->interrupt();
}

void Reindex::rethrottle(double requests_per_second) {
    std::lock_guard lock(impl_->mutex);
    impl_->status.requests_per_second = requests_per_second;
}

}  // namespace penstock::job
