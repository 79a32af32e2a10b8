#include "engine/inference/deployment.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>
#include <utility>

#include "engine/inference/deployment_impl.h"
#include "engine/inference/inference_error.h"

namespace penstock::inference {
namespace {

constexpr int kLowPriorityNice = 10;
constexpr int kMostNice = 19;

std::string not_started(const std::string& why) {
    return "an allocation could not start: " + why;
}

}  // namespace

std::int64_t milliseconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// ---- start and stop

Deployment::Impl::Impl(DeploymentConfig with, ModelLoader load_with)
    : config(std::move(with)),
      id(config.deployment_id),
      loader(std::move(load_with)),
      base_nice(::getpriority(PRIO_PROCESS, 0)),
      start_time(milliseconds_since_1970()) {}

void Deployment::Impl::start() {
    try {
        starter = std::thread([this] {
            load();
            std::lock_guard lock(mutex);
            loader_ended = true;
        });
    } catch (const std::system_error& error) {
        throw InferenceError(
            429, kStatus,
            "Could not start deployment [" + id + "]: no thread could be started: " + error.what());
    }
}

void Deployment::Impl::prepare_thread() const {
    ::pthread_setname_np(::pthread_self(), ("inf-" + id).substr(0, 15).c_str());
    if (config.priority != DeploymentPriority::low) return;
    // Before the session opens: threads that it starts inherit the value. Failing is harmless.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()),
                  std::min(kMostNice, base_nice + kLowPriorityNice));
}

void Deployment::Impl::load() {
    prepare_thread();
    std::shared_ptr<const LoadedModel> loaded;  // what is left in it goes after the lock
    std::string failure;
    try {
        loaded = loader();
    } catch (const std::exception& error) {
        failure = error.what();
    }
    Finished finished;
    {
        std::lock_guard lock(mutex);
        if (state != DeploymentState::starting) return;
        if (loaded) {
            cache = ResultCache(config.cache_size.value_or(loaded->info.weight_bytes));
            model = std::move(loaded);
            reason = failure = spawn_missing_locked();
        }
        if (allocations.empty()) loaded = fail_locked(failure, finished);
    }
    run_callbacks(finished);
}

// Starts the threads that are missing. Says what went wrong; those before it run then.
std::string Deployment::Impl::spawn_missing_locked() {
    while (std::cmp_less(allocations.size(), config.number_of_allocations)) {
        auto& allocation = *allocations.emplace_back(std::make_unique<Allocation>());
        try {
            allocation.thread = std::thread([this, &allocation] { allocate(allocation); });
        } catch (const std::system_error& error) {
            allocations.pop_back();
            return not_started(error.what());
        }
    }
    return {};
}

void Deployment::Impl::allocate(Allocation& self) {
    prepare_thread();
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
    if (!take_up(self)) return;
    serve(self, *session, *used->task);
    leave(self);
}

// False when it was asked to leave before it could begin.
bool Deployment::Impl::take_up(Allocation& self) {
    std::lock_guard lock(mutex);
    if (self.leave) return false;
    self.stage = Allocation::Stage::serving;
    ++ready;
    update_state_locked();
    return true;
}

void Deployment::Impl::leave(Allocation& self) {
    std::lock_guard lock(mutex);
    if (self.stage != Allocation::Stage::serving) return;
    self.stage = Allocation::Stage::left;
    --ready;
}

void Deployment::Impl::allocation_failed(Allocation& self, const std::string& why) {
    std::shared_ptr<const LoadedModel> unused;  // goes after the lock
    Finished finished;
    {
        std::lock_guard lock(mutex);
        self.stage = Allocation::Stage::failed;
        if (self.leave || !startable_locked()) return;
        reason = not_started(why);
        const bool none_left = std::ranges::all_of(allocations, [](const auto& allocation) {
            return allocation->stage == Allocation::Stage::failed;
        });
        if (none_left) unused = fail_locked(reason, finished);
        state_cv.notify_all();
    }
    run_callbacks(finished);
}

// Nobody is left to serve: what waits is answered so. Gives the model, to be freed without the
// lock.
std::shared_ptr<const LoadedModel> Deployment::Impl::fail_locked(const std::string& why,
                                                                 Finished& finished) {
    state = DeploymentState::failed;
    reason = why;
    close_all_locked(finished);
    state_cv.notify_all();
    return std::move(model);
}

void Deployment::Impl::update_state_locked() {
    if (!startable_locked() || ready == 0) return;
    state = ready >= config.number_of_allocations ? DeploymentState::fully_allocated
                                                  : DeploymentState::started;
    if (state == DeploymentState::fully_allocated) reason.clear();
    state_cv.notify_all();
}

void Deployment::Impl::set_allocations(int count) {
    std::lock_guard control(control_mutex);
    Allocations leaving;
    std::string failure;
    {
        std::lock_guard lock(mutex);
        if (!startable_locked()) {
            throw InferenceError(409, kStatus,
                                 "deployment [" + id + "] is " + std::string(name(state)) +
                                     " and cannot be changed");
        }
        config.number_of_allocations = count;
        reason.clear();      // failed allocations get another try below
        if (!model) return;  // still loading: it will start that many
        leaving = take_surplus_locked(count);
        failure = spawn_missing_locked();
        if (!failure.empty()) config.number_of_allocations = static_cast<int>(allocations.size());
    }
    work_cv.notify_all();
    for (const auto& allocation : leaving)
        allocation->thread.join();
    {
        std::lock_guard lock(mutex);
        update_state_locked();
    }
    if (failure.empty()) return;
    throw InferenceError(429, kStatus, "Could not update deployment [" + id + "]: " + failure);
}

// Takes out those that failed and those beyond `count`; what works stays before what opens still,
// so that queued texts are never left with an allocation that may yet fail.
Allocations Deployment::Impl::take_surplus_locked(int count) {
    using Stage = Allocation::Stage;
    std::ranges::stable_sort(allocations, {}, [](const auto& allocation) {
        return allocation->stage == Stage::serving   ? 0
               : allocation->stage == Stage::opening ? 1
                                                     : 2;
    });
    const auto first_useless = std::ranges::find(
        allocations, Stage::failed, [](const auto& allocation) { return allocation->stage; });
    const auto stay = std::min<std::ptrdiff_t>(count, first_useless - allocations.begin());
    const auto first_surplus = allocations.begin() + stay;
    Allocations leaving(std::make_move_iterator(first_surplus),
                        std::make_move_iterator(allocations.end()));
    allocations.erase(first_surplus, allocations.end());
    for (const auto& allocation : leaving) {
        allocation->leave = true;
        if (allocation->stage != Stage::serving) continue;
        allocation->stage = Stage::left;
        --ready;
    }
    return leaving;
}

void Deployment::Impl::stop(StopMode mode, std::chrono::milliseconds timeout,
                            const std::string& why) {
    const auto deadline = Clock::now() + timeout;
    std::lock_guard control(control_mutex);
    if (!begin_stop(why)) return;
    if (starter.joinable()) starter.join();
    const Allocations leaving = end_work(mode, deadline);
    for (const auto& allocation : leaving)
        allocation->thread.join();
    free_memory();
    std::lock_guard lock(mutex);
    state = DeploymentState::stopped;
    state_cv.notify_all();
}

// False when it has stopped already.
bool Deployment::Impl::begin_stop(const std::string& why) {
    std::lock_guard lock(mutex);
    if (state == DeploymentState::stopped) return false;
    const bool had_failed = state == DeploymentState::failed;
    state = DeploymentState::stopping;
    if (!had_failed) reason = why;
    state_cv.notify_all();
    return true;
}

bool Deployment::Impl::idle_locked() const {
    const bool opening = std::ranges::any_of(allocations, [](const auto& allocation) {
        return allocation->stage == Allocation::Stage::opening;
    });
    return state == DeploymentState::stopped ||
           (loader_ended && !opening && (ready == 0 || drained_locked()));
}

// Runs or fails what was accepted, and sends the allocations away.
Allocations Deployment::Impl::end_work(StopMode mode, Clock::time_point deadline) {
    Finished finished;
    Allocations leaving;
    {
        std::unique_lock lock(mutex);
        if (mode == StopMode::drain && ready > 0) {
            drain_cv.wait_until(lock, deadline, [this] { return drained_locked(); });
        }
        close_all_locked(finished);
        end_allocations = true;
        leaving.swap(allocations);
    }
    work_cv.notify_all();
    run_callbacks(finished);
    return leaving;
}

// Under the lock only the hands change: freeing gigabytes takes time.
void Deployment::Impl::free_memory() {
    std::shared_ptr<const LoadedModel> old_model;
    ResultCache old_cache{0};
    ModelLoader old_loader;
    std::lock_guard lock(mutex);
    old_model.swap(model);
    old_cache = std::exchange(cache, ResultCache(cache.byte_limit()));
    old_loader.swap(loader);
}

// Queued, in the model, or held back by their callers.
std::int64_t Deployment::Impl::pending_locked() const {
    std::size_t pending = queue.size() + in_model;
    for (const auto& line : waiting) {
        for (const CallHandle& call : line)
            pending += call->waiting.size();
    }
    return static_cast<std::int64_t>(pending);
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
    stats.number_of_waiting_requests = pending_locked() - stats.number_of_pending_requests;
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
    impl_->start();
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
        return !impl_->startable_locked() ||
               (impl_->state == DeploymentState::started && !impl_->reason.empty());
    };
    impl_->state_cv.wait_for(lock, timeout, [&] { return reached() || in_vain(); });
    return reached();
}

void Deployment::submit(const CallHandle& call, const InferRequest& request, InferCallback done) {
    impl_->submit(call, request, std::move(done));
}

void Deployment::cancel(const CallHandle& call, CancelReason reason) {
    impl_->cancel(call, reason);
}

void Deployment::set_allocations(int count) {
    impl_->set_allocations(count);
}

void Deployment::set_adaptive_allocations(const AdaptiveAllocations& adaptive) {
    std::lock_guard lock(impl_->mutex);
    impl_->config.adaptive_allocations = adaptive;
}

void Deployment::on_starved(std::function<void()> tell) {
    std::lock_guard lock(impl_->mutex);
    impl_->starved = std::move(tell);
}

LoadCounters Deployment::load() const {
    std::lock_guard lock(impl_->mutex);
    return {impl_->counters.sequences, impl_->pending_locked(), impl_->counters.model_time};
}

void Deployment::stop(StopMode mode, std::chrono::milliseconds timeout, const std::string& reason) {
    impl_->stop(mode, timeout, reason);
}

void Deployment::begin_stop(const std::string& reason) {
    impl_->begin_stop(reason);
}

bool Deployment::is_idle() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->idle_locked();
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
