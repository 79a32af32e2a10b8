#include "engine/pipeline/executor.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <optional>
#include <stdexcept>

namespace penstock::pipeline {

using boost::asio::awaitable;
using document::Document;
using document::Failure;
using document::FailureType;
using document::Outcome;
using document::Value;

namespace {

using Clock = std::chrono::steady_clock;

/// The pipelines on top of each other for the documents at hand, innermost first.
struct Frame {
    const Pipeline* pipeline;
    const Frame* caller;
    std::uint32_t depth;
};

/// One document on its way through a block.
struct Lane {
    Document* document;
    Outcome outcome;
};
using Lanes = std::vector<Lane*>;

std::string iso8601_now() {
    auto now = std::chrono::system_clock::now();
    std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[40];
    std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() %
        1'000'000;
    std::snprintf(text + size, sizeof text - size, ".%06dZ", static_cast<int>(micros));
    return text;
}

/// Sets members of `_ingest` and puts back what was there: failure metadata, foreach's element, the
/// pipeline's id.
class IngestScope {
  public:
    IngestScope(Document& document, std::string_view key) : document_(&document), key_(key) {
        if (document.ingest().is_object()) {
            if (const Value* there = document.ingest().as_object().get(key)) {
                before_ = *there;
                had_ = true;
            }
        }
    }
    void set(Value value) { document_->set_ingest(key_, value); }
    void remove() { document_->remove_ingest(key_); }
    void restore() {
        if (had_) {
            document_->set_ingest(key_, before_);
        } else {
            document_->remove_ingest(key_);
        }
    }

  private:
    Document* document_;
    std::string_view key_;
    Value before_;
    bool had_ = false;
};

/// Elasticsearch's failure metadata, there while a handler runs.
class FailureScope {
  public:
    FailureScope(Document& document, const Failure& failure, const Frame& frame)
        : message_(document, "on_failure_message"),
          type_(document, "on_failure_processor_type"),
          tag_(document, "on_failure_processor_tag"),
          pipeline_(document, "on_failure_pipeline") {
        document::Arena& arena = document.arena();
        message_.set(Value::string(failure.reason, arena));
        type_.set(Value::string(failure.processor_type, arena));
        tag_.set(failure.processor_tag.empty() ? Value::null()
                                               : Value::string(failure.processor_tag, arena));
        // As in the reference, only a failure inside a called pipeline names it.
        bool nested = frame.depth > 1 || failure.pipeline != frame.pipeline->id;
        if (nested) {
            pipeline_.set(Value::string(failure.pipeline, arena));
        } else {
            pipeline_.remove();  // an outer handler's
        }
    }
    void restore() {
        pipeline_.restore();
        tag_.restore();
        type_.restore();
        message_.restore();
    }

  private:
    IngestScope message_, type_, tag_, pipeline_;
};

void attribute(Failure& failure, const Step& step) {
    if (!failure.processor_type.empty()) return;
    failure.processor_type = step.type;
    failure.processor_tag = step.tag;
    failure.pipeline = step.pipeline;
}

Failure cannot_loop(const ForeachElement& foreach, const Value& value) {
    if (value.is_null()) {
        return document::failure("field [" + foreach.field.text() +
                                 "] is null, cannot loop over its elements.");
    }
    return document::failure("field [" + foreach.field.text() + "] of type [" +
                             std::string(document::java_type_name(value)) +
                             "] cannot be cast to a list or map");
}

/// One document's way through the elements of its list or object.
class ElementLoop {
  public:
    /// False when there is nothing to do: `outcome` tells whether that is a failure.
    bool begin(const ForeachElement& foreach, Document& document, Outcome& outcome) {
        const Value* found = document.find(foreach.field);
        if (found == nullptr || found->is_null()) {
            if (foreach.ignore_missing) return false;
            outcome =
                found ? cannot_loop(foreach, *found) : Outcome(document.get(foreach.field).error());
            return false;
        }
        if (!found->is_array() && !found->is_object()) {
            outcome = cannot_loop(foreach, *found);
            return false;
        }
        document_ = &document;
        field_ = &foreach.field;
        // The elements as they were when the loop began: a step that changes the list does not
        // change the loop.
        elements_ = found->is_array() ? copy_list(*found) : copy_members(*found);
        value_.emplace(document, "_value");
        if (elements_.is_object()) {
            key_.emplace(document, "_key");
            new_members_ = document.arena().make<document::Object>();
        } else {
            new_items_ = document.arena().make<document::Array>();
            new_items_->reserve(size(), document.arena());
        }
        return true;
    }
    std::size_t size() const {
        return elements_.is_array() ? elements_.as_array().size() : elements_.as_object().size();
    }
    void enter(std::size_t i) {
        if (elements_.is_array()) {
            value_->set(elements_.as_array()[i]);
        } else {
            const document::Member& member = elements_.as_object()[i];
            key_->set(Value::string(member.key()));
            value_->set(member.value);
        }
    }
    void leave(bool keep) {
        if (keep) {
            Value value = ingest("_value");
            if (new_items_ != nullptr) {
                new_items_->push_back(value, document_->arena());
            } else {
                keep_member(value);
            }
        }
        value_->restore();
        if (key_) key_->restore();
    }
    Outcome finish() {
        return document_->set(*field_,
                              new_items_ ? Value::array(new_items_) : Value::object(new_members_));
    }

  private:
    /// As in the reference, an element whose name was removed or made blank is left out.
    void keep_member(Value value) {
        Value name = ingest("_key");
        if (name.is_null()) return;
        std::string key;
        document::append_java_string(name, key);
        if (key.find_first_not_of(" \t\n\v\f\r") == std::string::npos) return;
        new_members_->set(document_->arena().copy(key), value, document_->arena());
    }
    Value copy_list(const Value& list) {
        auto* copy = document_->arena().make<document::Array>();
        copy->reserve(list.as_array().size(), document_->arena());
        for (const Value& item : list.as_array())
            copy->push_back(item, document_->arena());
        return Value::array(copy);
    }
    Value copy_members(const Value& object) {
        auto* copy = document_->arena().make<document::Object>();
        copy->reserve(object.as_object().size(), document_->arena());
        for (const document::Member& member : object.as_object()) {
            copy->push_back(member.name(), member.value, document_->arena());
        }
        return Value::object(copy);
    }
    Value ingest(std::string_view key) const {
        const Value* value =
            document_->ingest().is_object() ? document_->ingest().as_object().get(key) : nullptr;
        return value ? *value : Value::null();
    }

    Document* document_ = nullptr;
    const document::FieldPath* field_ = nullptr;
    Value elements_;
    std::optional<IngestScope> value_;
    std::optional<IngestScope> key_;
    document::Array* new_items_ = nullptr;
    document::Object* new_members_ = nullptr;
};

/// Counts documents that are somewhere now, until it goes: however that happens, also when a
/// cancelled coroutine is destroyed where it waits.
class InFlight {
  public:
    InFlight(Counters::Cell& cell, std::size_t documents)
        : cell_(&cell), documents_(static_cast<std::int64_t>(documents)) {
        cell_->current.fetch_add(documents_, std::memory_order_relaxed);
    }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    ~InFlight() { cell_->current.fetch_sub(documents_, std::memory_order_relaxed); }

  private:
    Counters::Cell* cell_;
    std::int64_t documents_;
};

/// Hides the observer for a while.
class Unobserved {
  public:
    explicit Unobserved(StepObserver*& observer) : place_(observer), observer_(observer) {
        place_ = nullptr;
    }
    Unobserved(const Unobserved&) = delete;
    Unobserved& operator=(const Unobserved&) = delete;
    ~Unobserved() { place_ = observer_; }

  private:
    StepObserver*& place_;
    StepObserver* observer_;
};

/// What a thrown exception says, as a failure: a bug or a lack of memory, which costs one document
/// and not its batch.
Failure thrown(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& error) {
        return document::failure(error.what(), FailureType::internal);
    } catch (...) {
        return document::failure("an exception of an unknown type", FailureType::internal);
    }
}

template <class Run>
Outcome guarded(Run&& run) {
    try {
        return run();
    } catch (...) {
        return thrown(std::current_exception());
    }
}

bool is_cancellation(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const boost::system::system_error& error) {
        return error.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

}  // namespace

struct Executor::Impl {
    /// A worker's own numbers, added to the shared ones once a batch.
    struct Tally {
        std::uint64_t count = 0;
        std::uint64_t failed = 0;
        std::uint64_t timed = 0;  // documents of `nanos`
        std::uint64_t nanos = 0;
    };

    Impl(std::shared_ptr<const PipelineSet> the_set, const Pipeline& the_pipeline,
         StepObserver* the_observer)
        : set(std::move(the_set)),
          pipeline(the_pipeline),
          observer(the_observer),
          tallies(set->counters().size()) {}

    // ---- what does not wait: one document at a time

    Outcome run_pipeline(const Pipeline& called, Document& document, const Frame* caller) {
        Frame frame{&called, caller, caller ? caller->depth + 1 : 1};
        Tally& tally = tallies[called.counter];
        ++tally.count;
        IngestScope id(document, "pipeline");
        id.set(Value::string(called.id));
        auto start = timing ? Clock::now() : Clock::time_point();
        Outcome outcome = run_block(called.steps, document, frame);
        if (outcome.is_failure() && called.on_failure)
            outcome = handle(*called.on_failure, document, outcome, frame);
        if (timing) add_time(tally, start);
        if (outcome.is_failure()) ++tally.failed;
        id.restore();
        return outcome;
    }

    Outcome run_block(const Block& block, Document& document, const Frame& frame) {
        return run_range(block, 0, block.steps.size(), document, frame);
    }

    Outcome run_range(const Block& block, std::size_t begin, std::size_t end, Document& document,
                      const Frame& frame) {
        for (std::size_t i = begin; i < end; ++i) {
            Outcome outcome = run_step(block.steps[i], document, frame);
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

    Outcome run_step(const Step& step, Document& document, const Frame& frame) {
        Tally& tally = tallies[step.counter];
        ++tally.count;
        auto start = timing ? Clock::now() : Clock::time_point();
        Outcome outcome = run_body(step, document, frame);
        if (timing) add_time(tally, start);
        if (outcome.is_ok() && observer == nullptr) return outcome;
        settle(step, document, outcome, tally);
        if (outcome.is_failure() && step.on_failure)
            return handle(*step.on_failure, document, outcome, frame);
        return outcome;
    }

    Outcome run_body(const Step& step, Document& document, const Frame& frame) {
        if (const auto* processor = std::get_if<ProcessorPtr>(&step.body)) {
            return run_processor(step, **processor, document);
        }
        return guarded([&] {
            if (const auto* call = std::get_if<PipelineCall>(&step.body))
                return run_call(step, *call, document, frame);
            return run_foreach(std::get<ForeachElement>(step.body), document, frame);
        });
    }

    Outcome run_processor(const Step& step, const Processor& processor, Document& document) {
        document.commit();
        bool threw = true;
        Outcome outcome = guarded([&] {
            Outcome returned = processor.run(document);
            threw = false;
            return returned;
        });
        if (threw || (outcome.is_failure() && !step.keeps_partial_changes)) document.roll_back(0);
        return outcome;
    }

    Outcome run_call(const Step& step, const PipelineCall& call, Document& document,
                     const Frame& frame) {
        const Pipeline* called = nullptr;
        Outcome outcome = resolve(call, document, frame, called);
        if (called == nullptr) return outcome;
        if (observer != nullptr) observer->entering(step, document.slot, document);
        return run_pipeline(*called, document, &frame);
    }

    Outcome run_foreach(const ForeachElement& foreach, Document& document, const Frame& frame) {
        Unobserved body(observer);
        ElementLoop loop;
        Outcome outcome;
        if (!loop.begin(foreach, document, outcome)) return outcome;
        for (std::size_t i = 0; i < loop.size(); ++i) {
            loop.enter(i);
            outcome = run_block(*foreach.body, document, frame);
            loop.leave(outcome.is_ok());
            if (!outcome.is_ok()) return outcome;
        }
        return loop.finish();
    }

    Outcome handle(const Block& handler, Document& document, const Outcome& why,
                   const Frame& frame) {
        FailureScope scope(document, why.failure(), frame);
        Outcome outcome = run_block(handler, document, frame);
        scope.restore();
        return outcome;
    }

    // ---- what waits: all documents of the batch together

    awaitable<void> run_pipeline(const Pipeline& called, Lanes lanes, const Frame* caller) {
        if (!called.waits) {
            one_by_one(lanes,
                       [&](Document& document) { return run_pipeline(called, document, caller); });
            co_return;
        }
        InFlight in_flight(set->counters()[called.counter], lanes.size());
        Frame frame{&called, caller, caller ? caller->depth + 1 : 1};
        Tally& tally = tallies[called.counter];
        tally.count += lanes.size();
        std::vector<IngestScope> ids;
        ids.reserve(lanes.size());
        for (Lane* lane : lanes) {
            ids.emplace_back(*lane->document, "pipeline");
            ids.back().set(Value::string(called.id));
        }
        auto start = Clock::now();
        co_await run_block(called.steps, lanes, frame);
        if (called.on_failure) co_await handle(*called.on_failure, failing(lanes), frame);
        add_batch_time(tally, start, lanes.size());
        tally.failed += failing(lanes).size();
        for (IngestScope& id : ids)
            id.restore();
    }

    awaitable<void> run_block(const Block& block, Lanes lanes, const Frame& frame) {
        for (const Block::Segment& segment : block.segments) {
            std::erase_if(lanes, [](const Lane* lane) { return !lane->outcome.is_ok(); });
            if (lanes.empty()) co_return;
            if (segment.waits) {
                co_await run_step(block.steps[segment.begin], lanes, frame);
                continue;
            }
            one_by_one(lanes, [&](Document& document) {
                return run_range(block, segment.begin, segment.end, document, frame);
            });
        }
    }

    awaitable<void> run_step(const Step& step, Lanes lanes, const Frame& frame) {
        Tally& tally = tallies[step.counter];
        tally.count += lanes.size();
        auto start = Clock::now();
        {
            InFlight in_flight(set->counters()[step.counter], lanes.size());
            co_await run_body(step, lanes, frame);
        }
        add_batch_time(tally, start, lanes.size());
        for (Lane* lane : lanes)
            settle(step, *lane->document, lane->outcome, tally);
        if (step.on_failure) co_await handle(*step.on_failure, failing(lanes), frame);
    }

    awaitable<void> run_body(const Step& step, const Lanes& lanes, const Frame& frame) {
        if (const auto* processor = std::get_if<AsyncProcessorPtr>(&step.body)) {
            co_await run_async(step, **processor, lanes);
        } else if (const auto* call = std::get_if<PipelineCall>(&step.body)) {
            co_await run_call(step, *call, lanes, frame);
        } else if (const auto* foreach = std::get_if<ForeachElement>(&step.body);
                   foreach && foreach->body->waits) {
            co_await run_foreach(*foreach, lanes, frame);
        } else {
            one_by_one(lanes, [&](Document& document) { return run_body(step, document, frame); });
        }
    }

    awaitable<void> run_async(const Step& step, const AsyncProcessor& processor,
                              const Lanes& lanes) {
        std::vector<AsyncItem> items;
        items.reserve(lanes.size());
        for (Lane* lane : lanes) {
            lane->document->commit();
            items.push_back({lane->document, Outcome::ok()});
        }
        std::exception_ptr threw;
        try {
            co_await processor.run(items);
        } catch (...) {
            threw = std::current_exception();
        }
        if (threw && is_cancellation(threw)) std::rethrow_exception(threw);
        // However the processor took its cancellation: what it says then is nothing that documents
        // may be judged by.
        auto state = co_await boost::asio::this_coro::cancellation_state;
        if (state.cancelled() != boost::asio::cancellation_type::none) {
            throw boost::system::system_error(boost::asio::error::operation_aborted, "pipeline");
        }
        for (std::size_t i = 0; i < lanes.size(); ++i) {
            lanes[i]->outcome = threw ? Outcome(thrown(threw)) : std::move(items[i].outcome);
            bool undo = threw || (lanes[i]->outcome.is_failure() && !step.keeps_partial_changes);
            if (undo) lanes[i]->document->roll_back(0);
        }
    }

    awaitable<void> run_call(const Step& step, const PipelineCall& call, const Lanes& lanes,
                             const Frame& frame) {
        // A name from a template may lead each document elsewhere: those that go the same way go
        // together.
        std::vector<std::pair<const Pipeline*, Lanes>> groups;
        for (Lane* lane : lanes) {
            const Pipeline* called = nullptr;
            lane->outcome = guarded([&] { return resolve(call, *lane->document, frame, called); });
            if (called == nullptr) continue;
            if (observer != nullptr)
                observer->entering(step, lane->document->slot, *lane->document);
            auto group = std::find_if(groups.begin(), groups.end(),
                                      [&](auto& one) { return one.first == called; });
            if (group == groups.end()) group = groups.insert(groups.end(), {called, {}});
            group->second.push_back(lane);
        }
        for (auto& [called, members] : groups)
            co_await run_pipeline(*called, members, &frame);
    }

    /// Round i runs the body for element i of every document that has so many: a waiting body sees
    /// one batch a round.
    awaitable<void> run_foreach(const ForeachElement& foreach, const Lanes& lanes,
                                const Frame& frame) {
        Unobserved body(observer);
        std::vector<std::pair<Lane*, ElementLoop>> loops;
        for (Lane* lane : lanes) {
            ElementLoop loop;
            if (loop.begin(foreach, *lane->document, lane->outcome)) loops.emplace_back(lane, loop);
        }
        for (std::size_t i = 0;; ++i) {
            Lanes round;
            std::vector<ElementLoop*> at;
            for (auto& [lane, loop] : loops) {
                if (!lane->outcome.is_ok() || i >= loop.size()) continue;
                loop.enter(i);
                round.push_back(lane);
                at.push_back(&loop);
            }
            if (round.empty()) break;
            co_await run_block(*foreach.body, round, frame);
            for (std::size_t j = 0; j < round.size(); ++j)
                at[j]->leave(round[j]->outcome.is_ok());
        }
        for (auto& [lane, loop] : loops) {
            if (lane->outcome.is_ok()) lane->outcome = loop.finish();
        }
    }

    awaitable<void> handle(const Block& handler, Lanes lanes, const Frame& frame) {
        if (lanes.empty()) co_return;
        std::vector<FailureScope> scopes;
        scopes.reserve(lanes.size());
        for (Lane* lane : lanes) {
            scopes.emplace_back(*lane->document, lane->outcome.failure(), frame);
            lane->outcome = Outcome::ok();
        }
        co_await run_block(handler, lanes, frame);
        for (FailureScope& scope : scopes)
            scope.restore();
    }

    // ---- common

    template <class Run>
    void one_by_one(const Lanes& lanes, Run run) {
        for (std::size_t i = 0; i < lanes.size(); ++i) {
            timing = i % timed_every == 0;
            lanes[i]->outcome = run(*lanes[i]->document);
        }
    }

    static Lanes failing(const Lanes& lanes) {
        Lanes failed;
        for (Lane* lane : lanes) {
            if (lane->outcome.is_failure()) failed.push_back(lane);
        }
        return failed;
    }

    /// Counts, names the origin of a failure, tells the observer, and applies ignore_failure.
    void settle(const Step& step, Document& document, Outcome& outcome, Tally& tally) {
        using Status = StepObserver::Status;
        Status status = outcome.is_drop() ? Status::dropped : Status::success;
        if (outcome.is_failure()) {
            ++tally.failed;
            attribute(outcome.failure(), step);
            status = step.ignore_failure ? Status::error_ignored : Status::error;
        }
        if (observer != nullptr) {
            observer->after(step, document.slot, document, status,
                            outcome.is_failure() ? &outcome.failure() : nullptr);
        }
        if (outcome.is_failure() && step.ignore_failure) outcome = Outcome::ok();
    }

    /// The pipeline that a call leads to; none when that fails or when a missing one is to be
    /// ignored.
    Outcome resolve(const PipelineCall& call, const Document& document, const Frame& frame,
                    const Pipeline*& called) {
        std::string rendered;
        const std::string* name = &call.name.text();
        if (!call.name.is_constant()) {
            call.name.render(document, rendered);
            name = &rendered;
        }
        const Pipeline* found = set->find(*name);
        if (found == nullptr) {
            if (call.ignore_missing) return Outcome::ok();
            return document::failure(
                "Pipeline processor configured for non-existent pipeline [" + *name + ']',
                FailureType::illegal_state);
        }
        for (const Frame* at = &frame; at != nullptr; at = at->caller) {
            if (at->pipeline == found) {
                return document::failure("Cycle detected for pipeline: " + *name,
                                         FailureType::illegal_state);
            }
        }
        if (frame.depth >= set->options().max_nested_pipelines) {
            return document::failure("Too many nested pipelines. Cannot have more than " +
                                         std::to_string(set->options().max_nested_pipelines) +
                                         " nested pipelines per document",
                                     FailureType::illegal_state);
        }
        called = found;
        return Outcome::ok();
    }

    static void add_time(Tally& tally, Clock::time_point start) {
        tally.nanos += static_cast<std::uint64_t>((Clock::now() - start).count());
        ++tally.timed;
    }
    /// Waiting counts once for the batch: it is the worker's time, not the sum over its documents.
    static void add_batch_time(Tally& tally, Clock::time_point start, std::size_t documents) {
        tally.nanos += static_cast<std::uint64_t>((Clock::now() - start).count());
        tally.timed += documents;
    }

    void prepare(Document& document) {
        const Value* there = document.ingest().is_object()
                                 ? document.ingest().as_object().get("timestamp")
                                 : nullptr;
        if (there == nullptr)
            document.set_ingest("timestamp", Value::string(batch_timestamp, document.arena()));
    }

    void start_batch() {
        batch_timestamp = fixed_timestamp.empty() ? iso8601_now() : fixed_timestamp;
    }

    void add_tallies() {
        Counters& shared = set->counters();
        for (std::size_t i = 0; i < tallies.size(); ++i) {
            Tally& tally = tallies[i];
            if (tally.count == 0) continue;
            shared[i].count.fetch_add(tally.count, std::memory_order_relaxed);
            shared[i].failed.fetch_add(tally.failed, std::memory_order_relaxed);
            if (tally.timed > 0) {
                double scale = static_cast<double>(tally.count) / static_cast<double>(tally.timed);
                shared[i].nanos.fetch_add(
                    static_cast<std::uint64_t>(static_cast<double>(tally.nanos) * scale),
                    std::memory_order_relaxed);
            }
            tally = {};
        }
    }

    /// One run over a batch: its numbers reach the shared ones however the run ends.
    class Batch {
      public:
        explicit Batch(Impl& impl) : impl_(impl) { impl_.start_batch(); }
        Batch(const Batch&) = delete;
        Batch& operator=(const Batch&) = delete;
        ~Batch() { impl_.add_tallies(); }

      private:
        Impl& impl_;
    };

    static void conclude(Outcome& outcome, ExecutionResult& result) {
        if (outcome.is_failure()) {
            result.fate = Fate::failed;
            result.failure = std::move(outcome.failure());
        } else {
            result.fate = outcome.is_drop() ? Fate::dropped : Fate::done;
        }
    }

    static constexpr std::size_t timed_every = 16;

    std::shared_ptr<const PipelineSet> set;
    const Pipeline& pipeline;
    StepObserver* observer;
    std::vector<Tally> tallies;
    std::string fixed_timestamp;
    std::string batch_timestamp;
    bool timing = true;
};

Executor::Executor(std::shared_ptr<const PipelineSet> set, const Pipeline& pipeline,
                   StepObserver* observer)
    : impl_(std::make_unique<Impl>(std::move(set), pipeline, observer)) {}
Executor::~Executor() = default;

void Executor::set_timestamp(std::string iso8601) {
    impl_->fixed_timestamp = std::move(iso8601);
}

void Executor::run_sync(std::span<Document*> documents, std::vector<ExecutionResult>& results) {
    const Pipeline& pipeline = impl_->pipeline;
    if (pipeline.waits) {
        throw std::logic_error("pipeline [" + pipeline.id +
                               "] has steps that wait: run it on an event loop");
    }
    results.assign(documents.size(), {});
    Impl::Batch batch(*impl_);
    InFlight in_flight(impl_->set->counters()[pipeline.counter], documents.size());
    for (std::size_t i = 0; i < documents.size(); ++i) {
        impl_->timing = i % Impl::timed_every == 0;
        Outcome outcome = guarded([&] {
            impl_->prepare(*documents[i]);
            return impl_->run_pipeline(pipeline, *documents[i], nullptr);
        });
        Impl::conclude(outcome, results[i]);
    }
}

awaitable<void> Executor::run(std::span<Document*> documents,
                              std::vector<ExecutionResult>& results) {
    if (!impl_->pipeline.waits) {
        run_sync(documents, results);
        co_return;
    }
    results.assign(documents.size(), {});
    Impl::Batch batch(*impl_);
    std::vector<Lane> lanes(documents.size());
    Lanes all;
    for (std::size_t i = 0; i < documents.size(); ++i) {
        impl_->prepare(*documents[i]);
        lanes[i].document = documents[i];
        all.push_back(&lanes[i]);
    }
    co_await impl_->run_pipeline(impl_->pipeline, std::move(all), nullptr);
    for (std::size_t i = 0; i < lanes.size(); ++i)
        Impl::conclude(lanes[i].outcome, results[i]);
}

}  // namespace penstock::pipeline
