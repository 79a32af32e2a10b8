// One deployment: a model with its allocations, queue, cache and statistics.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/inference/adaptive_allocations.h"
#include "engine/inference/deployment_config.h"
#include "engine/inference/model_store.h"
#include "engine/inference/request.h"
#include "engine/inference/statistics.h"

namespace penstock::inference {

enum class DeploymentState {
    starting,         ///< the model is being loaded
    started,          ///< at least one allocation takes work
    fully_allocated,  ///< all do
    stopping,         ///< takes no new work
    stopped,
    failed,  ///< could not start; reason() says why
};

std::string_view name(DeploymentState state);

/// What happens with accepted work when a deployment stops: run it within the time given, or fail
/// it with 409.
enum class StopMode { drain, fail };

/// Why a caller gives up.
enum class CancelReason { cancelled, timed_out };

/// One submitted request, to cancel it by. A handle is for one submit.
struct Call;
using CallHandle = std::shared_ptr<Call>;
CallHandle make_call();

/// Called once for each submitted request: within submit or cancel, or on an allocation's thread.
/// It must be short, must not throw and must not destroy or stop the deployment; hand the result to
/// where the work goes on.
using InferCallback = std::function<void(InferResult)>;

/// Thread-safe. The threads are its own: one that loads the model, and one for each allocation.
class Deployment {
  public:
    using ModelLoader = std::function<std::shared_ptr<const LoadedModel>()>;

    /// Starts loading and returns at once. `config` must be valid. Throws InferenceError 429 when
    /// the system has no thread left.
    Deployment(DeploymentConfig config, ModelLoader loader);
    /// Fails what is queued and waits for the threads; at most one batch, or the loading of the
    /// model.
    ~Deployment();

    Deployment(const Deployment&) = delete;
    Deployment& operator=(const Deployment&) = delete;

    const std::string& id() const;
    /// As started, with the allocations it has now.
    DeploymentConfig config() const;
    DeploymentState state() const;
    /// Why it failed or stops, or which allocation could not start; empty when all is well.
    std::string reason() const;
    DeploymentStats stats() const;
    LoadCounters load() const;

    /// Null before it is started and after it has stopped.
    std::shared_ptr<const LoadedModel> model() const;
    std::shared_ptr<const text::Tokenizer> tokenizer() const;
    /// The longest input in tokens, special tokens included; 0 without a model.
    std::int64_t max_tokens() const;
    /// Tokens of the prefix string, which every text of that kind bears on top of its own; 0
    /// without a model.
    std::int64_t prefix_tokens(PrefixKind kind) const;

    /// Blocks until the state asked for is reached (true), or the deployment failed or stops, or
    /// time is up (false).
    bool wait_until(WaitFor wait_for, std::chrono::milliseconds timeout) const;

    /// Tokenises the texts on the calling thread and gives them to the queue; never blocks for the
    /// model. `done` gets one item for each text. A time-out is noticed when a batch is formed;
    /// callers that must have the answer in time cancel at the deadline, as infer_blocking
    /// and infer (infer_async.h) do.
    void submit(const CallHandle& call, const InferRequest& request, InferCallback done);
    /// Answers what is not answered yet with 408, or as cancelled (400). Texts that nobody else
    /// asked for leave the queue; what is in the model already finishes there and goes to the
    /// cache. Does nothing to an answered call.
    void cancel(const CallHandle& call, CancelReason reason = CancelReason::cancelled);

    /// Changes the number of allocations while running, and tries those again that could not start.
    /// A surplus one leaves after its batch, which this waits for. Throws InferenceError: 409 when
    /// it does not run, 429 when no thread can be started; it then goes on with what there is.
    /// With 0 texts wait in the queue until there is one again; see on_starved.
    void set_allocations(int count);
    /// Changes what config() says of them. Whoever owns the deployment does what it says.
    void set_adaptive_allocations(const AdaptiveAllocations& adaptive);
    /// Called when a text is queued and no allocation is meant to take it. It must only note it: it
    /// is called with the deployment's lock held.
    void on_starved(std::function<void()> tell);
    /// Takes no new work from now on, finishes or fails the accepted, and joins all threads. After
    /// `timeout` a drain turns into fail. Does nothing when it has stopped already.
    void stop(StopMode mode, std::chrono::milliseconds timeout,
              const std::string& reason = "stopped by request");
    /// The first part of it alone: takes no new work from now on. Whoever calls this calls stop()
    /// too, where a drain waits for nothing once is_idle(). Does not block.
    void begin_stop(const std::string& reason = "stopped by request");
    /// Nothing is being loaded, and what was accepted is done.
    bool is_idle() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// For command lines and tests: waits for the answer on the calling thread.
InferResult infer_blocking(Deployment& deployment, const InferRequest& request);

}  // namespace penstock::inference
