// The inside of a deployment, shared by its life cycle (deployment.cpp) and the way of its texts
// (deployment_flow.cpp).
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/inference/content.h"
#include "engine/inference/deployment.h"
#include "engine/inference/request_queue.h"
#include "engine/inference/result_cache.h"
#include "engine/inference/statistics.h"

namespace penstock::inference {

struct ModelInput;

using Clock = std::chrono::steady_clock;
constexpr const char* kStatus = "status_exception";
constexpr auto kAgeBound = std::chrono::milliseconds(500);

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
    enum class Stage { opening, serving, failed, left };

    std::thread thread;
    Stage stage = Stage::opening;
    bool leave = false;  // asked to end after its batch
};
using Allocations = std::vector<std::unique_ptr<Allocation>>;

struct Counters {
    std::int64_t inferences = 0, cache_hits = 0, cache_misses = 0, shared = 0, errors = 0,
                 timeouts = 0;
    std::int64_t rejected = 0, truncated = 0, cancelled = 0, batches = 0, retried_batches = 0;
    std::int64_t sequences = 0, tokens = 0;
    Clock::duration model_time{}, queue_time{};
};

/// Calls whose callbacks are due, once the lock is gone: they may submit again.
using Finished = std::vector<CallHandle>;
void run_callbacks(Finished& finished);

std::int64_t milliseconds_since_1970();

struct Deployment::Impl {
    Impl(DeploymentConfig with, ModelLoader load_with);

    // Start and stop.
    void start();
    void load();
    std::string spawn_missing_locked();
    void allocate(Allocation& self);
    bool take_up(Allocation& self);
    void leave(Allocation& self);
    void allocation_failed(Allocation& self, const std::string& why);
    std::shared_ptr<const LoadedModel> fail_locked(const std::string& why, Finished& finished);
    void set_allocations(int count);
    Allocations take_surplus_locked(int count);
    void stop(StopMode mode, std::chrono::milliseconds timeout, const std::string& why);
    bool begin_stop(const std::string& why);
    Allocations end_work(StopMode mode, Clock::time_point deadline);
    void free_memory();
    void prepare_thread() const;
    void update_state_locked();
    bool running_locked() const {
        return state == DeploymentState::started || state == DeploymentState::fully_allocated;
    }
    bool startable_locked() const { return running_locked() || state == DeploymentState::starting; }
    DeploymentStats snapshot();
    std::int64_t pending_locked() const;

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
    bool drained_locked() const {
        return queue.empty() && in_model == 0 && waiting[0].empty() && waiting[1].empty();
    }
    bool idle_locked() const;
    void tell_if_drained_locked();

    // Answers.
    void cancel(const CallHandle& call, CancelReason reason);
    void answer(const CallHandle& call, std::size_t item, std::shared_ptr<const TaskOutput> output,
                Finished& finished);
    void refuse(const CallHandle& call, std::size_t item, const InferError& error,
                Finished& finished);
    void settle(const CallHandle& call, std::size_t item, Finished& finished);
    void retire_if_done(const CallHandle& call, Finished& finished);
    std::size_t close(const CallHandle& call, const InferError& error, bool also_in_model,
                      Finished& finished);
    void forget(const CallHandle& call, std::size_t item);
    void close_all_locked(Finished& finished);
    void expire_overdue(Clock::time_point now, Finished& finished);
    InferError not_running() const;
    InferError queue_full();
    InferError timed_out(const Call& call) const;

    DeploymentConfig config;  // number_of_allocations is the target
    const std::string id;
    ModelLoader loader;
    const int base_nice;  // of the thread that started it
    const Clock::time_point started_at = Clock::now();
    const std::int64_t start_time;

    std::mutex control_mutex;  // one stop or change of allocations at a time; taken before `mutex`
    mutable std::mutex mutex;  // all below
    std::condition_variable work_cv;   // allocations wait for a sequence
    std::condition_variable state_cv;  // wait_until waits for the state
    std::condition_variable drain_cv;  // a draining stop waits for the end of the work
    DeploymentState state = DeploymentState::starting;
    std::string reason;
    std::shared_ptr<const LoadedModel> model;
    std::thread starter;
    bool loader_ended = false;
    Allocations allocations;  // without those that leave
    int ready = 0;            // allocations that take work
    int busy = 0;             // allocations with a batch
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
    std::function<void()> starved;
};

}  // namespace penstock::inference
