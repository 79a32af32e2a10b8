// All deployments of a process, and the processors that they share.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/inference/deployment.h"
#include "engine/inference/inference_error.h"

namespace penstock::inference {

struct StartResult {
    std::shared_ptr<Deployment> deployment;
    /// Whether the state to wait for was reached. If not, time was up and the start goes on in the
    /// background, or an allocation beyond the first could not start (deployment->reason()).
    bool reached = false;
};

/// Thread-safe. Calls that start, change or stop a deployment block.
class Deployments {
  public:
    /// `allowed_processors`: the threads that all allocations together may have; 0 is what the
    /// machine has.
    explicit Deployments(std::shared_ptr<const ModelStore> store, int allowed_processors = 0,
                         const AdaptiveTiming& timing = {});
    /// Stops all, failing what is queued.
    ~Deployments();

    Deployments(const Deployments&) = delete;
    Deployments& operator=(const Deployments&) = delete;

    /// Starts a deployment and waits as its configuration says. Throws InferenceError: 400 with all
    /// problems of the configuration or when the model cannot be loaded, 404 for an unknown model,
    /// 409 when the id is in use, 429 when not enough processors are free. One that fails while it
    /// starts stays, as failed, until it is started anew or stopped.
    StartResult start(DeploymentConfig config);
    /// Makes it so: does nothing when the deployment runs as asked, changes its allocations when
    /// only they differ, tries those again that could not start, starts it when it is absent or
    /// failed. Throws as start does; 409 when
    /// anything else differs.
    StartResult ensure(DeploymentConfig config);
    /// Throws InferenceError: 404, 409 (not running, or they are adaptive), 400 or 429.
    void update_allocations(std::string_view id, int number_of_allocations);
    /// Lets the allocations follow the load from now on, or no longer. Throws likewise.
    void update_adaptive(std::string_view id, const AdaptiveAllocations& adaptive);
    /// Looks at the load of all deployments with adaptive allocations and gives each what it needs,
    /// as far as processors are free. A thread of its own does so at every interval, and when texts
    /// come to a deployment that has none.
    void adapt(std::chrono::steady_clock::time_point now);
    /// False when there is no such deployment.
    bool stop(std::string_view id, StopMode mode = StopMode::drain,
              std::chrono::milliseconds timeout = std::chrono::seconds(30));
    /// That one, and no later one of its id.
    void stop(const std::shared_ptr<Deployment>& deployment, StopMode mode,
              std::chrono::milliseconds timeout);
    void stop_all(StopMode mode, std::chrono::milliseconds timeout);

    /// By deployment_id; null when there is none.
    std::shared_ptr<Deployment> find(std::string_view id) const;
    /// By deployment_id, or by model_id (or a name of the model, see set_model_aliases) when that
    /// model has exactly one deployment.
    std::shared_ptr<Deployment> resolve(std::string_view id) const;
    /// Other names of models, as Elasticsearch's model aliases: alias to model_id. Replaces those
    /// there were.
    void set_model_aliases(std::map<std::string, std::string, std::less<>> aliases);
    /// The model that an alias stands for; `id` itself when it is none.
    std::string model_of(std::string_view id) const;
    /// What a request to an id that resolve does not know is answered with: 404, with what there
    /// is.
    InferError unknown(std::string_view id) const;
    std::vector<std::shared_ptr<Deployment>> list() const;  ///< by id

    int allowed_processors() const { return allowed_processors_; }
    int free_processors() const;
    const ModelStore& store() const { return *store_; }

  private:
    int used_processors(std::string_view except) const;
    std::string who_uses(std::string_view except) const;
    enum class Purpose { start, update };
    void fit(DeploymentConfig& config, Purpose purpose) const;
    InferenceError does_not_fit(const DeploymentConfig& config, Purpose purpose,
                                std::int64_t wanted, int free) const;
    std::shared_ptr<Deployment> create(DeploymentConfig config);
    void change(Deployment& deployment, const DeploymentConfig& config);
    StartResult wait(std::shared_ptr<Deployment> deployment, const DeploymentConfig& config) const;
    void adapt(Deployment& deployment, int wanted);
    void follow_load(Deployment& deployment);
    void keep_adapting();

    std::shared_ptr<const ModelStore> store_;
    int allowed_processors_;
    std::mutex change_mutex_;  // one start or change at a time, so that reservations add up; taken
                               // before mutex_
    mutable std::mutex
        mutex_;  // guards what follows; never held while waiting, for every request looks an id up
    std::map<std::string, std::shared_ptr<Deployment>, std::less<>> by_id_;
    std::map<std::string, std::string, std::less<>> model_aliases_;

    const AdaptiveTiming timing_;
    std::mutex scalers_mutex_;  // one adapt at a time
    std::map<std::string, AllocationScaler, std::less<>> scalers_;
    std::mutex adapter_mutex_;  // guards what follows; a deployment's lock may be held before it
    std::condition_variable adapter_cv_;
    bool starved_ = false;
    bool ends_ = false;
    std::thread adapter_;  // from the first adaptive deployment on
};

}  // namespace penstock::inference
