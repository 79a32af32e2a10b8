#include "engine/inference/deployments.h"

#include <algorithm>
#include <bit>
#include <thread>
#include <utility>

namespace penstock::inference {
namespace {

constexpr const char* kStatus = "status_exception";

bool holds_processors(DeploymentState state) {
    return state != DeploymentState::failed && state != DeploymentState::stopped;
}

void require_valid(const DeploymentConfig& config) {
    const auto problems = validate(config);
    if (problems.empty()) return;
    throw InferenceError(400, "action_request_validation_exception", validation_message(problems));
}

InferenceError missing(const InferError& error) {
    return {error.status, error.type, error.reason};
}

}  // namespace

Deployments::Deployments(std::shared_ptr<const ModelStore> store, int allowed_processors,
                         const AdaptiveTiming& timing)
    : store_(std::move(store)),
      allowed_processors_(allowed_processors > 0
                              ? allowed_processors
                              : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
      timing_(timing) {}

Deployments::~Deployments() {
    {
        std::lock_guard lock(adapter_mutex_);
        ends_ = true;
    }
    adapter_cv_.notify_all();
    if (adapter_.joinable()) adapter_.join();
    stop_all(StopMode::fail, std::chrono::milliseconds(0));
}

StartResult Deployments::start(DeploymentConfig config) {
    if (config.deployment_id.empty()) config.deployment_id = config.model_id;
    require_valid(config);
    std::shared_ptr<Deployment> deployment;
    {
        std::lock_guard change(change_mutex_);
        const std::shared_ptr<Deployment> existing = find(config.deployment_id);
        if (existing && holds_processors(existing->state())) {
            throw InferenceError(409, kStatus,
                                 "Could not start model deployment because an existing deployment "
                                 "with the same id [" +
                                     config.deployment_id + "] exist");
        }
        deployment = create(config);
    }
    return wait(std::move(deployment), config);
}

StartResult Deployments::ensure(DeploymentConfig config) {
    if (config.deployment_id.empty()) config.deployment_id = config.model_id;
    require_valid(config);
    std::shared_ptr<Deployment> deployment;
    {
        std::lock_guard change(change_mutex_);
        deployment = find(config.deployment_id);
        if (deployment && holds_processors(deployment->state())) {
            this->change(*deployment, config);
        } else {
            deployment = create(config);
        }
    }
    return wait(std::move(deployment), config);
}

void Deployments::update_allocations(std::string_view id, int number_of_allocations) {
    std::lock_guard change(change_mutex_);
    const std::shared_ptr<Deployment> deployment = find(id);
    if (!deployment) throw missing(unknown(id));
    DeploymentConfig config = deployment->config();
    if (config.adaptive_allocations.enabled) {
        throw InferenceError(409, kStatus,
                             "[number_of_allocations] of deployment [" + config.deployment_id +
                                 "] cannot be set while [adaptive_allocations] is enabled");
    }
    config.number_of_allocations = number_of_allocations;
    config.clamp = false;
    require_valid(config);
    this->change(*deployment, config);
}

void Deployments::update_adaptive(std::string_view id, const AdaptiveAllocations& adaptive) {
    std::lock_guard change(change_mutex_);
    const std::shared_ptr<Deployment> deployment = find(id);
    if (!deployment) throw missing(unknown(id));
    DeploymentConfig config = deployment->config();
    config.adaptive_allocations = adaptive;
    // None is a number that only the load may set.
    config.number_of_allocations = std::max(config.number_of_allocations, 1);
    config.clamp = false;
    require_valid(config);
    this->change(*deployment, config);
}

// Makes a running deployment what `wanted` says, which only its allocations allow.
void Deployments::change(Deployment& deployment, const DeploymentConfig& wanted) {
    const DeploymentState state = deployment.state();
    if (!holds_processors(state) || state == DeploymentState::stopping) {
        throw InferenceError(409, kStatus,
                             "deployment [" + deployment.id() + "] is " + std::string(name(state)) +
                                 " and cannot be changed");
    }
    DeploymentConfig target = wanted;
    DeploymentConfig running = deployment.config();
    running.adaptive_allocations = target.adaptive_allocations;
    if (const AdaptiveAllocations& adaptive = target.adaptive_allocations; adaptive.enabled) {
        // What the load has come to stays, as far as it is allowed.
        const int least = adaptive.min_number_of_allocations.value_or(0);
        target.number_of_allocations = std::clamp(
            running.number_of_allocations, least,
            std::max(least,
                     adaptive.max_number_of_allocations.value_or(running.number_of_allocations)));
    }
    fit(target, Purpose::update);
    const int allocations =
        std::exchange(running.number_of_allocations, target.number_of_allocations);
    // How long a start waits, and what it does when it does not fit, are not part of what runs.
    running.timeout = target.timeout;
    running.wait_for = target.wait_for;
    running.clamp = target.clamp;
    if (running != target) {
        throw InferenceError(
            409, kStatus,
            "deployment [" + deployment.id() +
                "] runs with other parameters; stop it first (only [number_of_allocations] and "
                "[adaptive_allocations] can change while it runs)");
    }
    deployment.set_adaptive_allocations(target.adaptive_allocations);
    // A reason while it runs is an allocation that could not start: it gets another try.
    if (allocations != target.number_of_allocations || !deployment.reason().empty()) {
        deployment.set_allocations(target.number_of_allocations);
    }
    if (target.adaptive_allocations.enabled) follow_load(deployment);
}

void Deployments::follow_load(Deployment& deployment) {
    deployment.on_starved([this] {
        std::lock_guard lock(adapter_mutex_);
        starved_ = true;
        adapter_cv_.notify_all();
    });
    std::lock_guard lock(adapter_mutex_);
    if (adapter_.joinable() || ends_) return;
    try {
        adapter_ = std::thread([this] { keep_adapting(); });
    } catch (const std::system_error& error) {
        throw InferenceError(429, kStatus,
                             "no thread to follow the load with: " + std::string(error.what()));
    }
}

void Deployments::keep_adapting() {
    std::unique_lock lock(adapter_mutex_);
    while (!ends_) {
        adapter_cv_.wait_for(lock, timing_.interval, [this] { return starved_ || ends_; });
        if (ends_) return;
        starved_ = false;
        lock.unlock();
        adapt(std::chrono::steady_clock::now());
        lock.lock();
    }
}

void Deployments::adapt(std::chrono::steady_clock::time_point now) {
    std::lock_guard lock(scalers_mutex_);
    std::map<std::string, AllocationScaler, std::less<>> known;
    for (const auto& deployment : list()) {
        const DeploymentConfig config = deployment->config();
        const DeploymentState state = deployment->state();
        if (!config.adaptive_allocations.enabled ||
            (state != DeploymentState::started && state != DeploymentState::fully_allocated))
            continue;
        auto node = scalers_.extract(deployment->id());
        AllocationScaler& scaler =
            (node.empty() ? known.emplace(deployment->id(), AllocationScaler(timing_)).first
                          : known.insert(std::move(node)).position)
                ->second;
        const int wanted = scaler.next(deployment->load(), config.number_of_allocations,
                                       config.adaptive_allocations, now);
        if (wanted != config.number_of_allocations) adapt(*deployment, wanted);
    }
    scalers_.swap(known);
}

void Deployments::adapt(Deployment& deployment, int wanted) {
    std::lock_guard change(change_mutex_);
    const DeploymentConfig config = deployment.config();
    const int free = allowed_processors_ - used_processors(config.deployment_id);
    const int possible = std::max(free / config.threads_per_allocation, 0);
    const int number = std::min(wanted, possible);
    if (number == config.number_of_allocations || !config.adaptive_allocations.enabled) return;
    try {
        deployment.set_allocations(number);
    } catch (const InferenceError&) {
        // It stops, or the system has no thread: the next look tries again.
    }
}

bool Deployments::stop(std::string_view id, StopMode mode, std::chrono::milliseconds timeout) {
    const std::shared_ptr<Deployment> deployment = find(id);
    if (!deployment) return false;
    stop(deployment, mode, timeout);
    return true;
}

void Deployments::stop(const std::shared_ptr<Deployment>& deployment, StopMode mode,
                       std::chrono::milliseconds timeout) {
    deployment->stop(mode, timeout);
    std::lock_guard lock(mutex_);
    const auto entry = by_id_.find(deployment->id());
    if (entry != by_id_.end() && entry->second == deployment) by_id_.erase(entry);
}

void Deployments::stop_all(StopMode mode, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (const auto& deployment : list()) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        stop(deployment->id(), mode, std::max(left, std::chrono::milliseconds(0)));
    }
}

std::shared_ptr<Deployment> Deployments::find(std::string_view id) const {
    std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<Deployment> Deployments::resolve(std::string_view id) const {
    if (auto deployment = find(id)) return deployment;
    const std::string model_id = model_of(id);
    std::shared_ptr<Deployment> only;
    for (const auto& deployment : list()) {
        if (deployment->config().model_id != model_id) continue;
        if (only) return nullptr;
        only = deployment;
    }
    return only;
}

void Deployments::set_model_aliases(std::map<std::string, std::string, std::less<>> aliases) {
    std::lock_guard lock(mutex_);
    model_aliases_.swap(aliases);
}

std::string Deployments::model_of(std::string_view id) const {
    std::lock_guard lock(mutex_);
    const auto found = model_aliases_.find(id);
    return found == model_aliases_.end() ? std::string(id) : found->second;
}

InferError Deployments::unknown(std::string_view id) const {
    std::string there;
    std::string of_model;
    for (const auto& deployment : list()) {
        const std::string text =
            "[" + deployment->id() + "] " + std::string(name(deployment->state()));
        there += (there.empty() ? "" : ", ") + text;
        if (deployment->config().model_id == model_of(id))
            of_model += (of_model.empty() ? "" : ", ") + text;
    }
    std::string reason = "Could not find trained model [" + std::string(id) + "]";
    if (!of_model.empty()) {
        reason += "; the model has several deployments, name one: " + of_model;
    } else {
        reason += there.empty() ? "; no deployment is started" : "; deployments: " + there;
    }
    return {404, "resource_not_found_exception", reason, 0};
}

std::vector<std::shared_ptr<Deployment>> Deployments::list() const {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Deployment>> all;
    for (const auto& [id, deployment] : by_id_)
        all.push_back(deployment);
    return all;
}

int Deployments::free_processors() const {
    return allowed_processors_ - used_processors({});
}

int Deployments::used_processors(std::string_view except) const {
    int used = 0;
    for (const auto& deployment : list()) {
        if (deployment->id() == except || !holds_processors(deployment->state())) continue;
        const DeploymentConfig config = deployment->config();
        used += config.number_of_allocations * config.threads_per_allocation;
    }
    return used;
}

std::string Deployments::who_uses(std::string_view except) const {
    std::string users;
    for (const auto& deployment : list()) {
        if (deployment->id() == except || !holds_processors(deployment->state())) continue;
        const DeploymentConfig config = deployment->config();
        users += (users.empty() ? "" : ", ") + ("[" + deployment->id() + "] ") +
                 std::to_string(config.number_of_allocations) + "x" +
                 std::to_string(config.threads_per_allocation);
    }
    return users;
}

void Deployments::fit(DeploymentConfig& config, Purpose purpose) const {
    const int free = allowed_processors_ - used_processors(config.deployment_id);
    const std::int64_t wanted =
        static_cast<std::int64_t>(config.number_of_allocations) * config.threads_per_allocation;
    if (wanted <= free) return;
    if (config.clamp && free > 0) {
        config.threads_per_allocation =
            std::min(config.threads_per_allocation,
                     static_cast<int>(std::bit_floor(static_cast<unsigned>(free))));
        config.number_of_allocations =
            std::min(config.number_of_allocations, free / config.threads_per_allocation);
        return;
    }
    throw does_not_fit(config, purpose, wanted, free);
}

InferenceError Deployments::does_not_fit(const DeploymentConfig& config, Purpose purpose,
                                         std::int64_t wanted, int free) const {
    const bool update = purpose == Purpose::update;
    const std::string users = who_uses(config.deployment_id);
    return {429, kStatus,
            "Could not " + std::string(update ? "update" : "start") + " deployment [" +
                config.deployment_id + "]: " + std::to_string(config.number_of_allocations) +
                " allocations x " + std::to_string(config.threads_per_allocation) +
                " threads need " + std::to_string(wanted) + " processors, and " +
                std::to_string(free) + " of " + std::to_string(allowed_processors_) + " are free" +
                (users.empty() ? "" : " (in use: " + users + ")") +
                (update ? "; ask for less, or stop another deployment"
                        : "; ask for less, stop a deployment, or set clamp to take what is free")};
}

// A failed deployment of the same id is replaced.
std::shared_ptr<Deployment> Deployments::create(DeploymentConfig config) {
    store_->describe(config.model_id);  // 404 now, not after a thread has started
    fit(config, Purpose::start);
    auto deployment =
        std::make_shared<Deployment>(config, [store = store_, model_id = config.model_id,
                                              placement = Placement{config.device, config.dtype}] {
            return store->load(model_id, placement);
        });
    std::shared_ptr<Deployment> replaced = deployment;  // joins its threads after the lock is gone
    if (config.adaptive_allocations.enabled) follow_load(*deployment);
    std::lock_guard lock(mutex_);
    by_id_[config.deployment_id].swap(replaced);
    return deployment;
}

StartResult Deployments::wait(std::shared_ptr<Deployment> deployment,
                              const DeploymentConfig& config) const {
    const bool reached = deployment->wait_until(config.wait_for, config.timeout);
    if (deployment->state() == DeploymentState::failed) {
        throw InferenceError(
            400, kStatus,
            "Could not start deployment [" + config.deployment_id + "]: " + deployment->reason());
    }
    return {std::move(deployment), reached};
}

}  // namespace penstock::inference
