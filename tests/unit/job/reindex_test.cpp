#include "engine/job/reindex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "processors/builtin.h"

namespace penstock::job {
namespace {

using namespace std::chrono_literals;

/// Numbered documents; the position is the number of the next one.
class Numbers final : public io::Source {
  public:
    explicit Numbers(int count) : count_(count) {}

    bool read(io::RecordBatch& out, std::size_t max_records, std::size_t) override {
        out.clear();
        out.origins = {"numbers"};
        if (fail_at >= 0 && next_ >= fail_at) throw Error("the disk is gone");
        for (std::size_t i = 0; i < max_records && next_ < count_; ++i, ++next_) {
            io::Record record;
            std::string text = next_ == bad ? "{broken"
                                            : "{\"_id\":\"" + std::to_string(next_) +
                                                  "\",\"n\":" + std::to_string(next_) + "}";
            record.begin = out.buffer.size();
            record.size = text.size();
            record.line = static_cast<std::uint64_t>(next_) + 1;
            out.buffer += text;
            out.records.push_back(record);
        }
        out.end_position = std::to_string(next_);
        ++reads;
        if (writes != nullptr) furthest = std::max(furthest, reads - writes->load());
        return !out.records.empty();
    }
    void seek(std::string_view position) override { next_ = std::stoi(std::string(position)); }
    std::string position() const override { return std::to_string(next_); }
    io::Progress progress() const override {
        io::Progress progress;
        progress.records_read = static_cast<std::uint64_t>(next_);
        progress.records_total = static_cast<std::uint64_t>(count_);
        return progress;
    }

    int bad = -1;
    int fail_at = -1;
    int reads = 0;
    const std::atomic<int>* writes = nullptr;  // the sink's, to see how far reading runs ahead
    int furthest = 0;

  private:
    int count_;
    int next_ = 0;
};

/// What the sink holds, outliving it.
struct Store {
    std::mutex mutex;
    std::atomic<int> batches{0};
    std::map<std::string, int> writes;  // by id
    std::vector<std::string> order;
};

class MemorySink final : public io::Sink {
  public:
    explicit MemorySink(Store& store) : store_(store) {}

    void write(std::span<const io::WriteItem> items,
               std::vector<io::ItemResult>& results) override {
        results.clear();
        if (before_write) before_write(store_.batches + 1);
        ++store_.batches;
        std::lock_guard lock(store_.mutex);
        for (const io::WriteItem& item : items) {
            std::string id(item.id);
            io::ItemResult& result = results.emplace_back();
            result.id = id;
            if (id == refuse) {
                result.status = 400;
                result.error_reason = "wrong dimensions";
            } else if (item.op == io::WriteOp::create && store_.writes.contains(id)) {
                result.status = 409;
                result.error_reason = "version conflict, document already exists";
            } else {
                bool there = store_.writes[id]++ > 0;
                result.status = there ? 200 : 201;
                result.result = there ? "updated" : "created";
                store_.order.push_back(id);
            }
            if (id == explode) throw Error("no space left on device");
        }
    }
    void flush() override {}
    std::string checkpoint() override { return "sink"; }
    void restore(std::string_view) override {}

    std::string refuse;
    std::string explode;
    std::function<void(int batch)> before_write;  // counts from 1

  private:
    Store& store_;
};

class ReindexTest : public testing::Test {
  protected:
    ReindexTest() {
        processors::add_builtin(catalog_);
        settings_.size = 10;
        checkpoint_ = std::filesystem::path(testing::TempDir()) /
                      (std::string("reindex_") +
                       testing::UnitTest::GetInstance()->current_test_info()->name() + ".json");
        CheckpointFile(checkpoint_).remove();
    }
    ~ReindexTest() override { CheckpointFile(checkpoint_).remove(); }

    ReindexParts parts(int documents, const std::string& pipeline = "", std::size_t slices = 1) {
        ReindexParts made;
        if (!pipeline.empty()) {
            pipeline::Diagnostics diagnostics;
            auto definition = pipeline::parse_definition(pipeline, "p.yml", "p", diagnostics);
            std::vector<pipeline::PipelineDefinition> definitions;
            definitions.push_back(std::move(*definition));
            made.pipelines = pipeline::PipelineSet::compile(std::move(definitions), catalog_);
            made.pipeline = made.pipelines->find("p");
        }
        for (std::size_t i = 0; i < slices; ++i) {
            auto source = std::make_unique<Numbers>(documents);
            source_ = source.get();
            made.sources.push_back(std::move(source));
        }
        auto sink = std::make_unique<MemorySink>(store_);
        sink_ = sink.get();
        made.sink = std::move(sink);
        made.on_failed = [this](const io::DeadDocument& dead) {
            failed_.push_back(std::string(dead.message));
        };
        made.checkpoint.emplace(checkpoint_);
        return made;
    }

    ReindexStatus run(Reindex& reindex) {
        auto done = boost::asio::co_spawn(runtime_.cpu(), reindex.run(), boost::asio::use_future);
        if (done.wait_for(60s) != std::future_status::ready) {
            ADD_FAILURE() << "the job does not end";
            std::abort();
        }
        return done.get();
    }
    ReindexStatus run(ReindexParts parts) {
        Reindex reindex(runtime_, settings_, std::move(parts));
        return run(reindex);
    }

    pipeline::Catalog catalog_;
    runtime::Runtime runtime_{{2, 2}};
    ReindexSettings settings_;
    std::filesystem::path checkpoint_;
    Store store_;
    Numbers* source_ = nullptr;
    MemorySink* sink_ = nullptr;
    std::vector<std::string> failed_;
};

TEST_F(ReindexTest, WritesEverythingOnceInOrder) {
    ReindexStatus status = run(parts(1005, "processors: [{set: {field: x, value: 1}}]"));
    EXPECT_EQ(status.state, ReindexState::finished);
    EXPECT_EQ(status.totals.created, 1005u);
    EXPECT_EQ(status.totals.batches, 101u);
    ASSERT_EQ(store_.order.size(), 1005u);
    for (int i = 0; i < 1005; ++i)
        ASSERT_EQ(store_.order[static_cast<std::size_t>(i)], std::to_string(i));
    auto checkpoint = CheckpointFile(checkpoint_).load();
    ASSERT_TRUE(checkpoint.has_value());
    EXPECT_TRUE(checkpoint->finished);
    EXPECT_EQ(checkpoint->slices[0].position, "1005");
}

TEST_F(ReindexTest, CountsDroppedFailedAndBadDocuments) {
    ReindexParts made = parts(30, R"(
processors:
  - drop: {tag: never, ignore_failure: false}
)");
    source_->bad = 7;
    ReindexStatus status = run(std::move(made));
    EXPECT_EQ(status.totals.dropped, 29u);
    EXPECT_EQ(status.totals.failed, 1u);
    ASSERT_EQ(failed_.size(), 1u);
    EXPECT_NE(failed_[0].find("column"), std::string::npos);

    failed_.clear();
    made = parts(5, "processors: [{fail: {message: 'no {{n}}'}}]");
    status = run(std::move(made));
    EXPECT_EQ(status.totals.failed, 5u);
    EXPECT_EQ(failed_, (std::vector<std::string>{"no 0", "no 1", "no 2", "no 3", "no 4"}));
}

TEST_F(ReindexTest, PutsWhatTheSinkRefusesIntoTheDeadLetter) {
    ReindexParts made = parts(20);
    sink_->refuse = "13";
    ReindexStatus status = run(std::move(made));
    EXPECT_EQ(status.state, ReindexState::finished);
    EXPECT_EQ(status.totals.created, 19u);
    EXPECT_EQ(failed_, std::vector<std::string>{"wrong dimensions"});
}

TEST_F(ReindexTest, AFailedDocumentEndsTheJobWhenNobodyTakesIt) {
    ReindexParts made = parts(200, "processors: [{fail: {message: no}}]");
    made.on_failed = nullptr;
    ReindexStatus status = run(std::move(made));
    EXPECT_EQ(status.state, ReindexState::failed);
    EXPECT_EQ(status.error, "document at numbers:1 failed: no");
}

TEST_F(ReindexTest, ReadingNeverRunsFurtherAheadThanItsQueue) {
    settings_.batches_in_flight = 2;
    ReindexParts made = parts(5000);
    source_->writes = &store_.batches;
    Numbers* source = source_;
    Reindex reindex(runtime_, settings_, std::move(made));
    EXPECT_EQ(run(reindex).state, ReindexState::finished);
    // Two in the queue, one being sent, one taken out of it, and one just read.
    EXPECT_LE(source->furthest, 5);
}

TEST_F(ReindexTest, ACancelFinishesWhatIsInFlight) {
    ReindexParts made = parts(10000);
    MemorySink* sink = sink_;
    Reindex reindex(runtime_, settings_, std::move(made));
    sink->before_write = [&](int batch) {
        if (batch == 3) reindex.cancel();
    };
    ReindexStatus status = run(reindex);
    EXPECT_EQ(status.state, ReindexState::cancelled);
    EXPECT_LT(status.totals.read, 10000u);
    EXPECT_EQ(status.totals.read, store_.order.size());
    EXPECT_EQ(status.totals.read, status.read_now) << "all that was read is written";
}

TEST_F(ReindexTest, ResumesWhereACancelStopped) {
    ReindexParts made = parts(3000);
    MemorySink* sink = sink_;
    Reindex first(runtime_, settings_, std::move(made));
    sink->before_write = [&](int batch) {
        if (batch == 20) first.cancel_now();
    };
    EXPECT_EQ(run(first).state, ReindexState::cancelled);

    auto checkpoint = CheckpointFile(checkpoint_).load();
    ASSERT_TRUE(checkpoint.has_value());
    EXPECT_FALSE(checkpoint->finished);
    EXPECT_NE(checkpoint->slices[0].position, "0");
    Reindex second(runtime_, settings_, parts(3000));
    second.resume(*checkpoint);
    ReindexStatus status = run(second);
    EXPECT_EQ(status.state, ReindexState::finished);
    EXPECT_EQ(status.totals.read, 3000u);
    EXPECT_EQ(store_.writes.size(), 3000u);
}

TEST_F(ReindexTest, ACheckpointKnowsTheRangeOfASliceThatHasNotBegun) {
    ReindexParts made = parts(30);
    made.sources.push_back(std::make_unique<Numbers>(0));
    EXPECT_EQ(run(std::move(made)).state, ReindexState::finished);
    auto checkpoint = CheckpointFile(checkpoint_).load();
    ASSERT_TRUE(checkpoint.has_value());
    EXPECT_EQ(checkpoint->slices[0].position, "30");
    EXPECT_EQ(checkpoint->slices[1].position, "0");
}

TEST_F(ReindexTest, CreateAfterACrashCountsItsOwnDocumentsAsThere) {
    settings_.batch.op = io::WriteOp::create;
    Store before;
    for (int i = 0; i < 15; ++i)
        store_.writes[std::to_string(i)] = 1;  // written, of which 10 were acknowledged
    Checkpoint checkpoint;
    checkpoint.slices = {{"10", 10, 20, false, {}}};
    Reindex reindex(runtime_, settings_, parts(40));
    reindex.resume(checkpoint);
    ReindexStatus status = run(reindex);
    EXPECT_EQ(status.state, ReindexState::finished) << status.error;
    EXPECT_EQ(status.totals.noops, 5u);
    EXPECT_EQ(status.totals.created, 25u);
    EXPECT_EQ(status.totals.version_conflicts, 0u);
}

TEST_F(ReindexTest, ConflictsAbortOrProceed) {
    settings_.batch.op = io::WriteOp::create;
    store_.writes["25"] = 1;
    ReindexStatus status = run(parts(100));
    EXPECT_EQ(status.state, ReindexState::failed);
    EXPECT_NE(status.error.find("conflicts=proceed"), std::string::npos);
    store_.writes.clear();
    store_.writes["25"] = 1;
    settings_.conflicts = Conflicts::proceed;
    status = run(parts(100));
    EXPECT_EQ(status.state, ReindexState::finished);
    EXPECT_EQ(status.totals.version_conflicts, 1u);
    EXPECT_EQ(status.totals.created, 99u);
}

TEST_F(ReindexTest, SourceAndSinkFaultsEndTheJobWithTheirReason) {
    ReindexParts made = parts(100);
    source_->fail_at = 50;
    ReindexStatus status = run(std::move(made));
    EXPECT_EQ(status.state, ReindexState::failed);
    EXPECT_EQ(status.error, "the disk is gone");
    EXPECT_EQ(status.totals.read, store_.order.size());

    made = parts(1000);
    sink_->explode = "55";
    status = run(std::move(made));
    EXPECT_EQ(status.state, ReindexState::failed);
    EXPECT_EQ(status.error, "no space left on device");
}

TEST_F(ReindexTest, DividesMaxDocsOverSlices) {
    settings_.max_docs = 25;
    ReindexStatus status = run(parts(100, "", 3));
    EXPECT_EQ(status.totals.read, 25u);
}

TEST_F(ReindexTest, ThrottlesAndRethrottles) {
    settings_.requests_per_second = 100;
    ReindexParts made = parts(100000);
    MemorySink* sink = sink_;
    Reindex reindex(runtime_, settings_, std::move(made));
    ReindexStatus slow;
    sink->before_write = [&](int batch) {
        if (batch != 6) return;
        slow = reindex.status();
        reindex.rethrottle(-1);
    };
    ReindexStatus status = run(reindex);
    // Five batches of ten are written; the sixth may begin when their half second is over.
    EXPECT_EQ(slow.totals.read, 50u);
    EXPECT_GE(slow.took, 490ms);
    EXPECT_GT(slow.throttled, 100ms);
    EXPECT_EQ(status.totals.read, 100000u);
}

TEST_F(ReindexTest, ALowerRateDoesNotOutliveAHigherOne) {
    settings_.requests_per_second = 1e-6;
    Reindex reindex(runtime_, settings_, parts(30));
    auto done = boost::asio::co_spawn(runtime_.cpu(), reindex.run(), boost::asio::use_future);
    while (reindex.status().slices[0].throttled_until < 1h)
        std::this_thread::sleep_for(1ms);
    reindex.rethrottle(100);  // a tenth of a second for each batch
    ASSERT_EQ(done.wait_for(30s), std::future_status::ready);
    EXPECT_EQ(done.get().totals.read, 30u);
}

TEST_F(ReindexTest, CollectsTheFailuresOfABatchAndEndsBehindIt) {
    settings_.collect_failures = true;
    settings_.batch.op = io::WriteOp::create;
    settings_.batch.index = "dest";
    store_.writes["12"] = 1;
    ReindexParts made = parts(1000);
    made.on_failed = nullptr;
    source_->bad = 14;
    sink_->refuse = "13";
    const ReindexStatus status = run(std::move(made));
    EXPECT_EQ(status.state, ReindexState::failed);
    ASSERT_EQ(status.failures.size(), 3u);
    EXPECT_EQ(status.failures[0].id, "12");
    EXPECT_EQ(status.failures[0].status, 409);
    EXPECT_EQ(status.failures[1].message, "wrong dimensions");
    EXPECT_EQ(status.failures[2].status, 400);
    EXPECT_EQ(status.failures[2].index, "dest");
    EXPECT_EQ(status.totals.version_conflicts, 1u);
    EXPECT_EQ(store_.writes.size(), 18u) << "all but the refused and the broken one";
    EXPECT_EQ(status.totals.read, 20u);
}

TEST_F(ReindexTest, ASliceCanBeCancelledAlone) {
    ReindexParts made = parts(1000, "", 2);
    MemorySink* sink = sink_;
    Reindex reindex(runtime_, settings_, std::move(made));
    sink->before_write = [&](int batch) {
        if (batch == 1) reindex.cancel_slice(0);
    };
    const ReindexStatus status = run(reindex);
    EXPECT_EQ(status.state, ReindexState::finished);
    EXPECT_TRUE(status.slices[0].cancelled);
    EXPECT_FALSE(status.slices[1].cancelled);
    EXPECT_LT(status.slices[0].totals.read, 1000u);
    EXPECT_EQ(status.slices[1].totals.read, 1000u);
}

TEST_F(ReindexTest, RefusesTheCheckpointOfAnotherJob) {
    settings_.fingerprint = "mine";
    Reindex reindex(runtime_, settings_, parts(1));
    Checkpoint checkpoint;
    checkpoint.job = "other";
    checkpoint.slices.resize(1);
    EXPECT_THROW(reindex.resume(checkpoint), Error);
}

}  // namespace
}  // namespace penstock::job
