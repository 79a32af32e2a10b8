// From request to queue, from queue to model, and from there to the answers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "engine/inference/deployment_impl.h"
#include "engine/inference/model_input.h"
#include "engine/runtime/error.h"

namespace penstock::inference {
namespace {

// Texts that are tokenised before the first of them is handed to the queue: the model starts on
// them while the rest of a large request is still being tokenised.
constexpr std::size_t kTokeniseAtOnce = 32;
// Batches are not split among idle allocations below this: a run has a fixed cost.
constexpr std::size_t kSmallestShare = 64;
constexpr int kStartingRetrySeconds = 5;
constexpr int kMostRetrySeconds = 60;
// Of every four admissions from callers that wait, one is for normal priority while high ones wait,
// too.
constexpr int kAdmissionCycle = 4;

void pack(std::span<const std::shared_ptr<Sequence>> sequences, PackedBatch& packed) {
    packed.clear();
    for (const auto& sequence : sequences) {
        const auto& ids = *sequence->content.ids;
        packed.ids.insert(packed.ids.end(), ids.begin(), ids.end());
        packed.offsets.push_back(static_cast<std::int64_t>(packed.ids.size()));
    }
}

BatchResult run_checked(Session& session, const PackedBatch& packed) {
    const BatchResult result = session.run(packed);
    const std::size_t expected = packed.sequences();
    if (result.data == nullptr || result.offsets.size() != expected ||
        result.rows.size() != expected || result.width < 1) {
        throw Error("the inference backend returned " + std::to_string(result.rows.size()) +
                    " results for " + std::to_string(expected) + " sequences");
    }
    return result;
}

Outcome keep(const Task& task, const BatchResult& result, std::size_t i) {
    try {
        return {std::make_shared<const TaskOutput>(
                    task.keep({result.data + result.offsets[i], result.rows[i], result.width})),
                {}};
    } catch (const std::exception& error) {
        return {nullptr, error.what()};
    }
}

}  // namespace

// ---- from request to queue

void Deployment::Impl::submit(const CallHandle& call, const InferRequest& request,
                              InferCallback done) {
    const std::shared_ptr<const LoadedModel> used = open(call, request, std::move(done));
    Finished finished;
    if (used) {
        InputMaker maker(*used, request.options);
        std::vector<ModelInput> group;
        for (std::size_t first = 0; first < request.texts.size(); first += group.size()) {
            group.clear();
            for (const std::string_view text : request.texts.subspan(
                     first, std::min(kTokeniseAtOnce, request.texts.size() - first))) {
                group.push_back(maker.make(text));
            }
            {
                std::lock_guard lock(mutex);
                for (std::size_t i = 0; i < group.size(); ++i)
                    admit(call, first + i, group[i], finished);
            }
            run_callbacks(finished);
        }
    }
    {
        std::lock_guard lock(mutex);
        call->submitting = false;
        retire_if_done(call, finished);
    }
    run_callbacks(finished);
}

// Registers the call. Null when it needs no model: it is empty, cancelled already, or refused as a
// whole.
std::shared_ptr<const LoadedModel> Deployment::Impl::open(const CallHandle& call,
                                                          const InferRequest& request,
                                                          InferCallback done) {
    const std::size_t count = request.texts.size();
    Finished none;
    std::lock_guard lock(mutex);
    call->options = request.options;
    call->done = std::move(done);
    call->items.resize(count);
    call->answered.resize(count);
    call->in_flight.resize(count);
    call->unanswered = count;
    call->submitting = true;
    call->deadline_entry = deadlines.emplace(deadline_of(request.options), call);
    last_access = milliseconds_since_1970();
    const bool refused = call->closed.has_value() || !running_locked();
    if (!refused) return count == 0 ? nullptr : model;
    const InferError error = call->closed ? *call->closed : not_running();
    for (std::size_t i = 0; i < count; ++i)
        refuse(call, i, error, none);
    return nullptr;
}

void Deployment::Impl::admit(const CallHandle& call, std::size_t item, ModelInput& input,
                             Finished& finished) {
    if (call->closed) return;
    call->items[item].tokens = input.tokens;
    call->items[item].is_truncated = input.is_truncated;
    if (input.is_truncated) ++counters.truncated;
    if (input.error) return refuse(call, item, *input.error, finished);
    if (!running_locked()) return refuse(call, item, not_running(), finished);
    const bool nobody_waits = waiting[0].empty() && waiting[1].empty();
    if (place(call, item, input.content, nobody_waits, finished)) return;
    if (call->options.admission == Admission::wait) {
        return hold_back(call, item, std::move(input.content));
    }
    ++counters.rejected;
    refuse(call, item, queue_full(), finished);
}

// Finds who will answer the text: the same text in flight, the cache, or a place in the queue.
// False without room.
bool Deployment::Impl::place(const CallHandle& call, std::size_t item, const Content& content,
                             bool may_queue, Finished& finished) {
    if (const auto found = in_flight.find(content); found != in_flight.end()) {
        join_flight(call, item, found->second);
        return true;
    }
    if (auto output = cache.find(content)) {
        call->items[item].from_cache = true;
        ++counters.cache_hits;
        minute.add(Clock::now(), {.count = 0, .cache_hits = 1, .nanoseconds = 0});
        answer(call, item, std::move(output), finished);
        return true;
    }
    if (!may_queue || !room()) return false;
    if (cache.byte_limit() > 0) ++counters.cache_misses;
    auto sequence = std::make_shared<Sequence>();
    sequence->content = content;
    sequence->priority = call->options.priority;
    sequence->queued_at = Clock::now();
    sequence->waiters.push_back({call, item});
    call->in_flight[item] = sequence;
    in_flight.emplace(content, sequence);
    queue.push(std::move(sequence));
    work_cv.notify_one();
    if (config.number_of_allocations == 0 && starved) starved();
    return true;
}

void Deployment::Impl::join_flight(const CallHandle& call, std::size_t item,
                                   const std::shared_ptr<Sequence>& sequence) {
    ++counters.shared;
    sequence->waiters.push_back({call, item});
    call->in_flight[item] = sequence;
    if (sequence->queued && call->options.priority == RequestPriority::high) queue.raise(*sequence);
}

void Deployment::Impl::hold_back(const CallHandle& call, std::size_t item, Content content) {
    call->waiting.push_back({item, std::move(content)});
    if (call->waiting_entry) return;
    auto& line = waiting[static_cast<std::size_t>(call->options.priority)];
    call->waiting_entry = line.insert(line.end(), call);
}

// Gives room in the queue to the callers that wait, one text each in turn, so that a large request
// does not shut a small one out.
void Deployment::Impl::refill(Finished& finished) {
    while (room() && !(waiting[0].empty() && waiting[1].empty())) {
        std::list<CallHandle>& line = next_waiting();
        const CallHandle call = line.front();
        const Call::WaitingText text = std::move(call->waiting.front());
        call->waiting.pop_front();
        if (call->waiting.empty()) {
            line.pop_front();
            call->waiting_entry.reset();
        } else {
            line.splice(line.end(), line, line.begin());
        }
        place(call, text.item, text.content, true, finished);
    }
}

std::list<CallHandle>& Deployment::Impl::next_waiting() {
    auto& normal = waiting[static_cast<std::size_t>(RequestPriority::normal)];
    auto& high = waiting[static_cast<std::size_t>(RequestPriority::high)];
    const bool turn_of_normal = ++admissions % kAdmissionCycle == 0;
    return high.empty() || (turn_of_normal && !normal.empty()) ? normal : high;
}

// ---- from the model to the callers

void Deployment::Impl::serve(Allocation& self, Session& session, const Task& task) {
    BatchWork work;
    Finished finished;
    std::unique_lock lock(mutex);
    while (true) {
        work_cv.wait(lock, [&] { return self.leave || end_allocations || !queue.empty(); });
        if (self.leave || end_allocations) return;
        const auto now = Clock::now();
        expire_overdue(now, finished);
        work.sequences.clear();
        queue.take(token_budget(), now, work.sequences);
        for (const auto& sequence : work.sequences)
            counters.queue_time += now - sequence->queued_at;
        in_model += work.sequences.size();
        ++busy;
        refill(finished);
        lock.unlock();
        run_callbacks(finished);
        if (!work.sequences.empty()) run(session, task, work);
        lock.lock();
        --busy;
        deliver(work, finished);
        refill(finished);
        tell_if_drained_locked();
        lock.unlock();
        run_callbacks(finished);
        lock.lock();
    }
}

// The whole budget when all others are busy; an equal share of what waits when some are idle, too.
std::size_t Deployment::Impl::token_budget() const {
    const auto limit = static_cast<std::size_t>(batch_token_limit(config));
    const auto takers = static_cast<std::size_t>(std::max(1, ready - busy));
    const std::size_t share = (queue.tokens() + takers - 1) / takers;
    return std::clamp(share, std::min(kSmallestShare, limit), limit);
}

void Deployment::Impl::run(Session& session, const Task& task, BatchWork& work) {
    const auto start = Clock::now();
    work.outcomes.assign(work.sequences.size(), {});
    work.retried = false;
    try {
        pack(work.sequences, work.packed);
        const BatchResult result = run_checked(session, work.packed);
        for (std::size_t i = 0; i < work.sequences.size(); ++i) {
            work.outcomes[i] = keep(task, result, i);
        }
    } catch (const std::exception& error) {
        // A batch fails as a whole; alone, only the text that does it fails. Less memory is needed,
        // too.
        work.retried = work.sequences.size() > 1;
        if (work.retried) {
            run_singly(session, task, work);
        } else {
            work.outcomes.front().failure = error.what();
        }
    }
    work.model_time = Clock::now() - start;
}

void Deployment::Impl::run_singly(Session& session, const Task& task, BatchWork& work) {
    for (std::size_t i = 0; i < work.sequences.size(); ++i) {
        if (abandoned(*work.sequences[i])) continue;
        try {
            pack({&work.sequences[i], 1}, work.packed);
            work.outcomes[i] = keep(task, run_checked(session, work.packed), 0);
        } catch (const std::exception& error) {
            work.outcomes[i] = {nullptr, error.what()};
        }
    }
}

// True when nobody waits for the sequence any more; nobody can join it after that.
bool Deployment::Impl::abandoned(Sequence& sequence) {
    std::lock_guard lock(mutex);
    if (!sequence.waiters.empty()) return false;
    leave_flight(sequence);
    return true;
}

void Deployment::Impl::deliver(BatchWork& work, Finished& finished) {
    const std::size_t count = work.sequences.size();
    if (count == 0) return;
    in_model -= count;
    std::int64_t answered = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Sequence& sequence = *work.sequences[i];
        Outcome& outcome = work.outcomes[i];
        leave_flight(sequence);
        if (outcome.output) cache.insert(sequence.content, outcome.output);
        counters.tokens += static_cast<std::int64_t>(sequence.content.tokens());
        for (const Waiter& waiter : std::exchange(sequence.waiters, {})) {
            if (outcome.output) {
                answer(waiter.call, waiter.item, outcome.output, finished);
                ++answered;
            } else {
                ++counters.errors;
                refuse(waiter.call, waiter.item,
                       {500, kStatus, "Error in inference process: [" + outcome.failure + "]", 0},
                       finished);
            }
        }
    }
    ++counters.batches;
    if (work.retried) ++counters.retried_batches;
    counters.sequences += static_cast<std::int64_t>(count);
    counters.model_time += work.model_time;
    minute.add(Clock::now(), {.count = 0,
                              .cache_hits = 0,
                              .nanoseconds = std::chrono::nanoseconds(work.model_time).count()});
}

void Deployment::Impl::leave_flight(Sequence& sequence) {
    const auto found = in_flight.find(sequence.content);
    if (found != in_flight.end() && found->second.get() == &sequence) in_flight.erase(found);
}

void Deployment::Impl::tell_if_drained_locked() {
    if (drained_locked()) drain_cv.notify_all();
}

// ---- answers

void run_callbacks(Finished& finished) {
    for (const CallHandle& call : finished) {
        const InferCallback done = std::move(call->done);
        done(InferResult{std::move(call->items)});
    }
    finished.clear();
}

void Deployment::Impl::cancel(const CallHandle& call, CancelReason why) {
    Finished finished;
    {
        std::lock_guard lock(mutex);
        if (call->retired) return;
        const bool late = why == CancelReason::timed_out;
        const InferError error =
            late ? timed_out(*call) : InferError{400, kStatus, "inference task cancelled", 0};
        const auto closed = static_cast<std::int64_t>(close(call, error, true, finished));
        (late ? counters.timeouts : counters.cancelled) += closed;
        refill(finished);
        tell_if_drained_locked();
    }
    run_callbacks(finished);
}

void Deployment::Impl::answer(const CallHandle& call, std::size_t item,
                              std::shared_ptr<const TaskOutput> output, Finished& finished) {
    call->items[item].output = std::move(output);
    ++counters.inferences;
    minute.add(Clock::now(), {.count = 1, .cache_hits = 0, .nanoseconds = 0});
    settle(call, item, finished);
}

void Deployment::Impl::refuse(const CallHandle& call, std::size_t item, const InferError& error,
                              Finished& finished) {
    call->items[item].error = error;
    settle(call, item, finished);
}

void Deployment::Impl::settle(const CallHandle& call, std::size_t item, Finished& finished) {
    call->answered[item] = true;
    call->in_flight[item].reset();
    --call->unanswered;
    retire_if_done(call, finished);
}

void Deployment::Impl::retire_if_done(const CallHandle& call, Finished& finished) {
    if (call->unanswered > 0 || call->submitting) return;
    call->retired = true;
    if (call->deadline_entry) deadlines.erase(*std::exchange(call->deadline_entry, std::nullopt));
    finished.push_back(call);
}

// Answers what is unanswered with `error` and returns how much that was; what is in the model stays
// when not `also_in_model`.
std::size_t Deployment::Impl::close(const CallHandle& call, const InferError& error,
                                    bool also_in_model, Finished& finished) {
    const CallHandle held = call;  // `call` may be an element of a list that this changes
    held->closed = error;
    if (held->deadline_entry && also_in_model) {
        deadlines.erase(*std::exchange(held->deadline_entry, std::nullopt));
    }
    if (held->waiting_entry) {
        waiting[static_cast<std::size_t>(held->options.priority)].erase(
            *std::exchange(held->waiting_entry, std::nullopt));
    }
    held->waiting.clear();
    std::size_t closed = 0;
    for (std::size_t item = 0; item < held->items.size(); ++item) {
        if (held->answered[item]) continue;
        if (!also_in_model && held->in_flight[item] && !held->in_flight[item]->queued) continue;
        if (held->in_flight[item]) forget(held, item);
        ++closed;
        refuse(held, item, error, finished);
    }
    return closed;
}

// Takes the item's wish for its sequence back; a queued sequence that nobody wants any more leaves
// the queue.
void Deployment::Impl::forget(const CallHandle& call, std::size_t item) {
    Sequence& sequence = *call->in_flight[item];
    std::erase_if(sequence.waiters,
                  [&](const Waiter& w) { return w.call == call && w.item == item; });
    if (!sequence.waiters.empty() || !sequence.queued) return;
    leave_flight(sequence);
    queue.erase(sequence);
}

// What is in the model stays: its allocation answers it.
void Deployment::Impl::close_all_locked(Finished& finished) {
    std::vector<CallHandle> open;
    for (const auto& [time, call] : deadlines)
        open.push_back(call);
    for (const CallHandle& call : open)
        close(call, not_running(), false, finished);
}

void Deployment::Impl::expire_overdue(Clock::time_point now, Finished& finished) {
    while (!deadlines.empty() && deadlines.begin()->first <= now) {
        const CallHandle call = deadlines.begin()->second;
        counters.timeouts +=
            static_cast<std::int64_t>(close(call, timed_out(*call), true, finished));
    }
}

InferError Deployment::Impl::not_running() const {
    if (state == DeploymentState::starting) {
        return {503, kStatus, "deployment [" + id + "] is still starting; try again",
                kStartingRetrySeconds};
    }
    return {409, kStatus, "[" + id + "] is stopping or stopped due to [" + reason + "]", 0};
}

InferError Deployment::Impl::queue_full() {
    const double rate = minute.recent_rate(Clock::now());
    const double seconds = rate > 0 ? std::ceil(static_cast<double>(queue.size()) / rate) : 1;
    return {429, "es_rejected_execution_exception",
            "deployment [" + id + "]: inference process queue is full (" +
                std::to_string(config.queue_capacity) + " texts). Unable to execute command",
            static_cast<int>(std::clamp(seconds, 1.0, static_cast<double>(kMostRetrySeconds)))};
}

InferError Deployment::Impl::timed_out(const Call& call) const {
    return {408, kStatus,
            "timeout [" + format_duration(call.options.timeout) + "] waiting for inference result",
            0};
}

}  // namespace penstock::inference
