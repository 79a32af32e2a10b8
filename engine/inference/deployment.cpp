#include "engine/inference/deployment.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "engine/inference/content.h"
#include "engine/inference/model_input.h"
#include "engine/inference/request_queue.h"
#include "engine/inference/result_cache.h"
#include "engine/runtime/error.h"

namespace penstock::inference {

using Clock = std::chrono::steady_clock;
using Deadlines = std::multimap<Clock::time_point, CallHandle>;

/// A submitted request. Everything here is guarded by its deployment's mutex once it is submitted.
struct Call {
    struct WaitingText {
        std::size_t item;
        Content content;
    };

    InferOptions options;
    InferCallback done;
    std::vector<InferItem> items;
    std::vector<bool> answered;
    std::vector<std::shared_ptr<Sequence>>
        in_flight;                    // what each unanswered item waits for, if it was admitted
    std::deque<WaitingText> waiting;  // tokenised, held back until the queue has room
    std::size_t unanswered = 0;
    bool submitting = false;           // texts are still being tokenised
    bool retired = false;              // all is answered: the items belong to the callback now
    std::optional<InferError> closed;  // cancelled: what is not answered yet gets this
    std::optional<Deadlines::iterator> deadline_entry;
    std::optional<std::list<CallHandle>::iterator> waiting_entry;
};

namespace {

constexpr const char* kStatus = "status_exception";
// Texts that are tokenised before the first of them is handed to the queue: the model starts on
// them while the rest of a large request is still being tokenised.
constexpr std::size_t kTokeniseAtOnce = 32;
// Batches are not split among idle allocations below this: a run has a fixed cost.
constexpr std::size_t kSmallestShare = 64;
constexpr auto kAgeBound = std::chrono::milliseconds(500);
constexpr int kLowPriorityNice = 10;
constexpr int kStartingRetrySeconds = 5;
constexpr int kMostRetrySeconds = 60;
// Of every four admissions from callers that wait, one is for normal priority while high ones wait,
// too.
constexpr int kAdmissionCycle = 4;

std::int64_t milliseconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// What became of one sequence of a batch.
struct Outcome {
    std::shared_ptr<const TaskOutput> output;
    std::string failure;
};

/// What one allocation reuses from batch to batch.
struct BatchWork {
    std::vector<std::shared_ptr<Sequence>> sequences;
    std::vector<Outcome> outcomes;
    PackedBatch packed;
    Clock::duration model_time{};
    bool retried = false;
};

/// One thread with a session.
struct Allocation {
    std::thread thread;
    bool leave = false;   // asked to end after its batch
    bool failed = false;  // its session could not be opened
};

struct Counters {
    std::int64_t inferences = 0, cache_hits = 0, cache_misses = 0, shared = 0, errors = 0,
                 timeouts = 0;
    std::int64_t rejected = 0, truncated = 0, cancelled = 0, batches = 0, retried_batches = 0;
    std::int64_t sequences = 0, tokens = 0;
    Clock::duration model_time{}, queue_time{};
};

using Finished = std::vector<CallHandle>;

// After the lock is gone: callbacks may submit again.
void run_callbacks(Finished& finished) {
    for (const CallHandle& call : finished) {
        const InferCallback done = std::move(call->done);
        done(InferResult{std::move(call->items)});
    }
    finished.clear();
}

void prepare_thread(const std::string& id, DeploymentPriority priority) {
    ::pthread_setname_np(::pthread_self(), ("inf-" + id).substr(0, 15).c_str());
    // Before the session opens: threads that it starts inherit the value. Failing is harmless.
    if (priority == DeploymentPriority::low) {
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kLowPriorityNice);
    }
}

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

struct Deployment::Impl {
    Impl(DeploymentConfig with, ModelLoader load_with)
        : config(std::move(with)), id(config.deployment_id), loader(std::move(load_with)) {}

    // Start and stop.
    void load();
    void spawn_locked();
    void allocate(Allocation& self);
    void allocation_failed(Allocation& self, const std::string& why);
    void set_allocations(int count);
    void stop(StopMode mode, std::chrono::milliseconds timeout, const std::string& why);
    void update_state_locked();
    bool running_locked() const {
        return state == DeploymentState::started || state == DeploymentState::fully_allocated;
    }
    bool drained_locked() const {
        return queue.empty() && in_model == 0 && waiting[0].empty() && waiting[1].empty();
    }

    // From request to queue.
    void submit(const CallHandle& call, const InferRequest& request, InferCallback done);
    std::shared_ptr<const LoadedModel> open(const CallHandle& call, const InferRequest& request,
                                            InferCallback done);
    void admit(const CallHandle& call, std::size_t item, ModelInput& input, Finished& finished);
    bool place(const CallHandle& call, std::size_t item, const Content& content, bool may_queue,
               Finished& finished);
    void join_flight(const CallHandle& call, std::size_t item,
                     const std::shared_ptr<Sequence>& sequence);
    void hold_back(const CallHandle& call, std::size_t item, Content content);
    void refill(Finished& finished);
    std::list<CallHandle>& next_waiting();
    bool room() const { return queue.size() < static_cast<std::size_t>(config.queue_capacity); }

    // From the model to the callers.
    void serve(Allocation& self, Session& session, const Task& task);
    std::size_t token_budget() const;
    void run(Session& session, const Task& task, BatchWork& work);
    void run_singly(Session& session, const Task& task, BatchWork& work);
    bool abandoned(Sequence& sequence);
    void deliver(BatchWork& work, Finished& finished);
    void leave_flight(Sequence& sequence);

    // Answers.
    void answer(const CallHandle& call, std::size_t item, std::shared_ptr<const TaskOutput> output,
                Finished& finished);
    void refuse(const CallHandle& call, std::size_t item, const InferError& error,
                Finished& finished);
    void settle(const CallHandle& call, std::size_t item, Finished& finished);
    void retire_if_done(const CallHandle& call, Finished& finished);
    std::size_t close(const CallHandle& call, const InferError& error, bool also_in_model,
                      Finished& finished);
    void forget(const CallHandle& call, std::size_t item);
    void expire_overdue(Clock::time_point now, Finished& finished);
    InferError not_running() const;
    InferError queue_full();
    InferError timed_out(const Call& call) const;
    DeploymentStats snapshot();

    DeploymentConfig config;  // number_of_allocations is the target
    const std::string id;
    ModelLoader loader;
    const Clock::time_point started_at = Clock::now();
    const std::int64_t start_time = milliseconds_since_1970();

    std::mutex control_mutex;  // one stop or change of allocations at a time; taken before `mutex`
    mutable std::mutex mutex;  // all below
    std::condition_variable work_cv;   // allocations wait for a sequence
    std::condition_variable state_cv;  // wait_until waits for the state
    std::condition_variable drain_cv;  // a draining stop waits for the end of the work
    DeploymentState state = DeploymentState::starting;
    std::string reason;
    std::shared_ptr<const LoadedModel> model;
    std::thread starter;
    std::vector<std::unique_ptr<Allocation>> allocations;
    int ready = 0;
    int busy = 0;  // of the ready ones, those with a batch
    bool end_allocations = false;

    RequestQueue queue{kAgeBound};
    std::unordered_map<Content, std::shared_ptr<Sequence>, ContentHash>
        in_flight;  // queued or in the model
    std::size_t in_model = 0;
    std::array<std::list<CallHandle>, 2> waiting;  // callers with texts held back, by priority
    int admissions = 0;
    Deadlines deadlines;  // every open call
    ResultCache cache{0};
    Counters counters;
    MinuteWindow minute{started_at};
    std::optional<std::int64_t> last_access;
};

// ---- start and stop
// -----------------------------------------------------------------------------------------------

void Deployment::Impl::load() {
    prepare_thread(id, config.priority);
    std::shared_ptr<const LoadedModel> loaded;
    std::string failure;
    try {
        loaded = loader();
    } catch (const std::exception& error) {
        failure = error.what();
    }
    std::lock_guard lock(mutex);
    if (state != DeploymentState::starting) return;
    if (loaded) {
        cache = ResultCache(config.cache_size.value_or(loaded->info.weight_bytes));
        model = std::move(loaded);
        try {
            while (std::cmp_less(allocations.size(), config.number_of_allocations))
                spawn_locked();
            return;
        } catch (const std::system_error& error) {
            failure = std::string("could not start a thread: ") + error.what();
            end_allocations = true;
        }
    }
    state = DeploymentState::failed;
    reason = failure;
    model.reset();
    state_cv.notify_all();
}

void Deployment::Impl::spawn_locked() {
    auto& allocation = *allocations.emplace_back(std::make_unique<Allocation>());
    try {
        allocation.thread = std::thread([this, &allocation] { allocate(allocation); });
    } catch (...) {
        allocations.pop_back();
        throw;
    }
}

void Deployment::Impl::allocate(Allocation& self) {
    prepare_thread(id, config.priority);
    std::shared_ptr<const LoadedModel> used;
    {
        std::lock_guard lock(mutex);
        used = model;
    }
    if (!used) return;
    std::unique_ptr<Session> session;
    try {
        session = used->weights->open_session(config.threads_per_allocation);
    } catch (const std::exception& error) {
        return allocation_failed(self, error.what());
    }
    {
        std::lock_guard lock(mutex);
        ++ready;
        update_state_locked();
    }
    serve(self, *session, *used->task);
    std::lock_guard lock(mutex);
    --ready;
}

void Deployment::Impl::allocation_failed(Allocation& self, const std::string& why) {
    std::lock_guard lock(mutex);
    self.failed = true;
    if (!running_locked() && state != DeploymentState::starting) return;
    reason = "an allocation could not start: " + why;
    const bool none_left = std::all_of(allocations.begin(), allocations.end(),
                                       [](const auto& allocation) { return allocation->failed; });
    if (none_left && std::cmp_greater_equal(allocations.size(), config.number_of_allocations)) {
        state = DeploymentState::failed;
        model.reset();
    }
    state_cv.notify_all();
}

void Deployment::Impl::update_state_locked() {
    if (!running_locked() && state != DeploymentState::starting) return;
    if (ready == 0) return;
    state = ready >= config.number_of_allocations ? DeploymentState::fully_allocated
                                                  : DeploymentState::started;
    if (state == DeploymentState::fully_allocated) reason.clear();
    state_cv.notify_all();
}

void Deployment::Impl::set_allocations(int count) {
    std::lock_guard control(control_mutex);
    std::vector<std::unique_ptr<Allocation>> leaving;
    {
        std::lock_guard lock(mutex);
        if (!running_locked() && state != DeploymentState::starting) {
            throw Error("deployment [" + id + "] is " + std::string(name(state)));
        }
        config.number_of_allocations = count;
        reason.clear();      // failed allocations get another try below
        if (!model) return;  // still loading: it will start that many
        const auto first_failed = std::stable_partition(allocations.begin(), allocations.end(),
                                                        [](const auto& a) { return !a->failed; });
        leaving.assign(std::make_move_iterator(first_failed),
                       std::make_move_iterator(allocations.end()));
        allocations.erase(first_failed, allocations.end());
        while (std::cmp_greater(allocations.size(), count)) {
            allocations.back()->leave = true;
            leaving.push_back(std::move(allocations.back()));
            allocations.pop_back();
        }
        while (std::cmp_less(allocations.size(), count))
            spawn_locked();
    }
    work_cv.notify_all();
    for (const auto& allocation : leaving)
        allocation->thread.join();
    std::lock_guard lock(mutex);
    update_state_locked();
}

void Deployment::Impl::stop(StopMode mode, std::chrono::milliseconds timeout,
                            const std::string& why) {
    const auto deadline = Clock::now() + timeout;
    std::lock_guard control(control_mutex);
    Finished finished;
    std::unique_lock lock(mutex);
    if (state == DeploymentState::stopped) return;
    const bool had_failed = state == DeploymentState::failed;
    state = DeploymentState::stopping;
    if (!had_failed) reason = why;
    state_cv.notify_all();
    lock.unlock();
    if (starter.joinable()) starter.join();

    lock.lock();
    if (mode == StopMode::drain && ready > 0) {
        drain_cv.wait_until(lock, deadline, [this] { return drained_locked(); });
    }
    std::vector<CallHandle> open;
    for (const auto& [time, call] : deadlines)
        open.push_back(call);
    for (const CallHandle& call : open)
        close(call, not_running(), false, finished);
    end_allocations = true;
    std::vector<std::unique_ptr<Allocation>> leaving = std::move(allocations);
    allocations.clear();
    lock.unlock();
    work_cv.notify_all();
    run_callbacks(finished);
    for (const auto& allocation : leaving)
        allocation->thread.join();

    lock.lock();
    state = DeploymentState::stopped;
    model.reset();
    cache.clear();
    loader = nullptr;
    state_cv.notify_all();
}

// ---- from request to queue
// ----------------------------------------------------------------------------------------

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
// --------------------------------------------------------------------------------

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
        if (drained_locked()) drain_cv.notify_all();
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

// ---- answers
// ------------------------------------------------------------------------------------------------------

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

DeploymentStats Deployment::Impl::snapshot() {
    const auto milliseconds = [](Clock::duration total,
                                 std::int64_t count) -> std::optional<double> {
        if (count == 0) return std::nullopt;
        return std::chrono::duration<double, std::milli>(total).count() /
               static_cast<double>(count);
    };
    std::lock_guard lock(mutex);
    const MinuteWindow::Sums last_minute = minute.last_minute(Clock::now());
    DeploymentStats stats;
    stats.deployment_id = id;
    stats.model_id = config.model_id;
    stats.state = name(state);
    stats.reason = reason;
    stats.priority = name(config.priority);
    stats.allocation_count = ready;
    stats.target_allocation_count = config.number_of_allocations;
    stats.threads_per_allocation = config.threads_per_allocation;
    stats.queue_capacity = config.queue_capacity;
    stats.cache_size = static_cast<std::int64_t>(cache.byte_limit());
    stats.model_size_bytes = model ? static_cast<std::int64_t>(model->info.weight_bytes) : 0;
    stats.start_time = start_time;
    stats.last_access = last_access;
    stats.inference_count = counters.inferences;
    stats.inference_cache_hit_count = counters.cache_hits;
    stats.inference_cache_hit_count_last_minute = last_minute.cache_hits;
    stats.cache_miss_count = counters.cache_misses;
    stats.error_count = counters.errors;
    stats.timeout_count = counters.timeouts;
    stats.rejected_execution_count = counters.rejected;
    stats.number_of_pending_requests = static_cast<std::int64_t>(queue.size() + in_model);
    stats.throughput_last_minute = last_minute.count;
    stats.peak_throughput_per_minute = minute.peak_count();
    stats.average_inference_time_ms = milliseconds(counters.model_time, counters.inferences);
    stats.average_inference_time_ms_last_minute =
        milliseconds(std::chrono::nanoseconds(last_minute.nanoseconds), last_minute.count);
    stats.average_inference_time_ms_excluding_cache_hits =
        milliseconds(counters.model_time, counters.sequences);
    for (const auto& line : waiting) {
        for (const CallHandle& call : line) {
            stats.number_of_waiting_requests += static_cast<std::int64_t>(call->waiting.size());
        }
    }
    stats.shared_count = counters.shared;
    stats.truncated_count = counters.truncated;
    stats.cancelled_count = counters.cancelled;
    stats.batch_count = counters.batches;
    stats.retried_batch_count = counters.retried_batches;
    stats.token_count = counters.tokens;
    stats.cache_bytes = static_cast<std::int64_t>(cache.bytes());
    stats.average_queue_time_ms = milliseconds(counters.queue_time, counters.sequences);
    return stats;
}

// ---- the public surface
// -------------------------------------------------------------------------------------------

std::string_view name(DeploymentState state) {
    static constexpr std::array<std::string_view, 6> kNames{
        "starting", "started", "fully_allocated", "stopping", "stopped", "failed"};
    return kNames[static_cast<std::size_t>(state)];
}

CallHandle make_call() {
    return std::make_shared<Call>();
}

Deployment::Deployment(DeploymentConfig config, ModelLoader loader)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(loader))) {
    impl_->starter = std::thread([impl = impl_.get()] { impl->load(); });
}

Deployment::~Deployment() {
    impl_->stop(StopMode::fail, std::chrono::milliseconds(0), "shut down");
}

const std::string& Deployment::id() const {
    return impl_->id;
}

DeploymentConfig Deployment::config() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->config;
}

DeploymentState Deployment::state() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->state;
}

std::string Deployment::reason() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->reason;
}

DeploymentStats Deployment::stats() const {
    return impl_->snapshot();
}

std::shared_ptr<const LoadedModel> Deployment::model() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->running_locked() ? impl_->model : nullptr;
}

std::shared_ptr<const text::Tokenizer> Deployment::tokenizer() const {
    const auto used = model();
    return used ? used->tokenizer : nullptr;
}

std::int64_t Deployment::max_tokens() const {
    const auto used = model();
    return used ? used->max_tokens : 0;
}

std::int64_t Deployment::prefix_tokens(PrefixKind kind) const {
    const auto used = model();
    if (!used || kind == PrefixKind::none) return 0;
    text::Tokens tokens;
    used->tokenizer->encode(
        kind == PrefixKind::ingest ? used->manifest.prefix_ingest : used->manifest.prefix_search,
        false, tokens);
    return static_cast<std::int64_t>(tokens.size());
}

bool Deployment::wait_until(WaitFor wait_for, std::chrono::milliseconds timeout) const {
    if (wait_for == WaitFor::starting) return true;
    std::unique_lock lock(impl_->mutex);
    const auto reached = [&] {
        return impl_->state == DeploymentState::fully_allocated ||
               (wait_for == WaitFor::started && impl_->state == DeploymentState::started);
    };
    const auto in_vain = [&] {
        return (!impl_->running_locked() && impl_->state != DeploymentState::starting) ||
               (impl_->state == DeploymentState::started && !impl_->reason.empty());
    };
    impl_->state_cv.wait_for(lock, timeout, [&] { return reached() || in_vain(); });
    return reached();
}

void Deployment::submit(const CallHandle& call, const InferRequest& request, InferCallback done) {
    impl_->submit(call, request, std::move(done));
}

void Deployment::cancel(const CallHandle& call, CancelReason reason) {
    Finished finished;
    {
        std::lock_guard lock(impl_->mutex);
        if (call->closed || call->retired) return;
        const bool late = reason == CancelReason::timed_out;
        const InferError error = late ? impl_->timed_out(*call)
                                      : InferError{400, kStatus, "inference task cancelled", 0};
        const auto closed = static_cast<std::int64_t>(impl_->close(call, error, true, finished));
        (late ? impl_->counters.timeouts : impl_->counters.cancelled) += closed;
        impl_->refill(finished);
    }
    run_callbacks(finished);
}

void Deployment::set_allocations(int count) {
    impl_->set_allocations(count);
}

void Deployment::stop(StopMode mode, std::chrono::milliseconds timeout, const std::string& reason) {
    impl_->stop(mode, timeout, reason);
}

InferResult infer_blocking(Deployment& deployment, const InferRequest& request) {
    struct State {
        std::mutex mutex;
        std::condition_variable answered;
        std::optional<InferResult> result;
    };
    // Shared with the callback, which may still be on its way out when the result is already taken.
    const auto state = std::make_shared<State>();
    const auto has_result = [&] { return state->result.has_value(); };
    const CallHandle call = make_call();
    const auto deadline = deadline_of(request.options);
    deployment.submit(call, request, [state](InferResult result) {
        std::lock_guard lock(state->mutex);
        state->result = std::move(result);
        state->answered.notify_all();
    });
    std::unique_lock lock(state->mutex);
    if (!state->answered.wait_until(lock, deadline, has_result)) {
        lock.unlock();
        deployment.cancel(call, CancelReason::timed_out);
        lock.lock();
        state->answered.wait(lock, has_result);
    }
    return std::move(*state->result);
}

}  // namespace penstock::inference
