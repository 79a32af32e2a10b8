#include "tools/serve/reindex_job.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <functional>

#include "engine/runtime/await.h"
#include "tools/serve/reindex_plan.h"
#include "tools/serve/reindex_status.h"
#include "tools/serve/task_json.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using job::ReindexStatus;

// ---- running

job::TaskSpec slice_spec(const job::Task& parent) {
    job::TaskSpec spec;
    spec.action = parent.spec().action;
    spec.description = parent.spec().description;
    spec.cancellable = true;
    spec.parent = parent.number();
    spec.headers = parent.spec().headers;
    return spec;
}

/// Slices are children; a job of one slice is its own.
void begin_slices(ReindexRun& run, std::size_t count) {
    for (std::size_t i = 0; count > 1 && i < count; ++i) {
        run.slices.push_back(run.tasks->begin(slice_spec(*run.task)));
        job::TaskHooks hooks;
        hooks.status = [reindex = run.reindex, i] {
            return slice_status_json(reindex->status(), i);
        };
        hooks.cancel = [reindex = run.reindex, i] { reindex->cancel_slice(i); };
        run.slices.back()->set_hooks(std::move(hooks));
    }
}

void set_hooks(const std::shared_ptr<ReindexRun>& run) {
    job::TaskHooks hooks;
    // The task holds its hooks: they must not hold it.
    hooks.status = [reindex = run->reindex, task = std::weak_ptr(run->task)] {
        const auto it = task.lock();
        return reindex_status_json(reindex->status(), it && it->cancelled());
    };
    hooks.cancel = [reindex = run->reindex] { reindex->cancel(); };
    hooks.suspend = [reindex = run->reindex] { reindex->cancel_now(); };
    hooks.rethrottle = [reindex = run->reindex](double rate) { reindex->rethrottle(rate); };
    run->task->set_hooks(std::move(hooks));
}

/// Of a job that has failed as a whole.
ApiError error_of(const ReindexStatus& status) {
    try {
        if (status.problem) std::rethrow_exception(status.problem);
    } catch (const ApiError& problem) {
        return problem;
    } catch (const io::RemoteError& problem) {
        return {problem.status(), problem.type(), problem.what()};
    } catch (...) {
        // As any other.
    }
    return {500, "exception", status.error};
}

/// Of a job that the server's end has stopped.
ApiError error_of_stop(const ReindexRun& run) {
    if (run.remote.empty()) {
        return {503, "status_exception",
                "the server is stopping; it goes on with the task when it is started"};
    }
    return {503, "task_interrupted_exception",
            "the server was stopped; it does not go on with what it reads from the remote [" +
                run.remote +
                "]: what is written remains, and the task can be started again with [op_type] of "
                "[create] and [conflicts] of [proceed]"};
}

job::TaskOutcome conclude(ReindexRun& run, const ReindexStatus& status) {
    job::TaskOutcome outcome;
    const bool cancelled = run.task->cancelled();
    if (status.state == job::ReindexState::cancelled && !cancelled) {
        const ApiError error = error_of_stop(run);
        outcome.interrupted = run.remote.empty();
        if (!outcome.interrupted) outcome.error = error.object();
        run.body = error.body();
        run.status = error.status();
    } else if (status.state == job::ReindexState::failed && status.failures.empty()) {
        const ApiError error = error_of(status);
        outcome.error = error.object();
        run.body = error.body();
        run.status = error.status();
    } else {
        outcome.response = reindex_response_json(status, cancelled);
        run.body = outcome.response;
        run.status = reindex_response_status(status);
    }
    return outcome;
}

void finish(ReindexRun& run, job::TaskOutcome outcome) {
    for (const std::shared_ptr<job::Task>& slice : run.slices)
        run.tasks->finish(slice);
    run.tasks->finish(run.task, std::move(outcome));
}

awaitable<void> follow(runtime::Runtime& runtime, std::shared_ptr<ReindexRun> run) {
    const ReindexStatus status = co_await run->reindex->run();
    job::TaskOutcome outcome = conclude(*run, status);
    co_await runtime::call_on(runtime.blocking(), [&] {
        if (run->refresh) run->refresh();
        finish(*run, std::move(outcome));
    });
}

void log_escaped(const std::exception_ptr& problem) {
    try {
        if (problem) std::rethrow_exception(problem);
    } catch (const std::exception& error) {
        spdlog::error("a reindex task ended by a fault of the server: {}", error.what());
    }
}

void spawn(runtime::Runtime& runtime, const std::shared_ptr<ReindexRun>& run) {
    boost::asio::co_spawn(runtime.cpu(), follow(runtime, run), log_escaped);
}
// ---- beginning

/// What is ready to become a task.
struct Prepared {
    ReindexRequest request;
    ReindexPlan plan;
    std::string record;
    job::ReindexParts parts;
};

/// Requests per second, as they are when it is asked.
std::function<double()> rate_of(const std::shared_ptr<ReindexRun>& run) {
    return [weak = std::weak_ptr(run)] {
        const std::shared_ptr<ReindexRun> it = weak.lock();
        return it && it->reindex ? it->reindex->status().requests_per_second : -1;
    };
}

std::function<void()> refresh_of(const Node& node, const Prepared& prepared) {
    if (!prepared.request.refresh) return {};
    std::vector<std::string> indices = prepared.plan.indices;
    if (!prepared.plan.dest.empty()) indices = {prepared.plan.dest};
    return [store = node.store, indices = std::move(indices)] {
        for (const std::string& index : indices) {
            try {
                store->refresh(index);
            } catch (const Error& error) {  // what is written is there all the same
                spdlog::warn("index {} is not refreshed: {}", index, error.what());
            }
        }
    };
}

/// On the blocking pool; with the task begun, what goes wrong is its end.
void begin_job(Node& node, Prepared& prepared, const std::shared_ptr<ReindexRun>& run,
               bool resumed) {
    const job::CheckpointFile file(run->tasks->checkpoint_path(run->task->number()));
    job::ReindexSettings made = make_settings(prepared.request, prepared.plan, prepared.parts);
    made.fingerprint = reindex_fingerprint(node, prepared.request);
    prepared.parts.checkpoint = file;
    run->reindex =
        std::make_shared<job::Reindex>(*node.runtime, std::move(made), std::move(prepared.parts));
    if (const auto checkpoint = resumed ? file.load() : std::nullopt)
        run->reindex->resume(*checkpoint);
    run->refresh = refresh_of(node, prepared);
    begin_slices(*run, prepared.plan.slices);
    set_hooks(run);
}

job::TaskSpec task_spec(const Prepared& prepared, const ReindexOrigin& origin) {
    job::TaskSpec spec;
    spec.action = reindex_action(prepared.request.kind);
    spec.description = prepared.request.description();
    spec.cancellable = true;
    spec.headers = origin.headers;
    spec.keep_result = !prepared.request.wait_for_completion;
    spec.resume = prepared.record;
    return spec;
}

/// On the blocking pool.
void prepare_and_begin(Node& node, Prepared& prepared, const ReindexOrigin& origin,
                       const std::shared_ptr<ReindexRun>& run) {
    prepared.plan = make_plan(node, prepared.request);
    prepared.plan.confined = origin.confined;
    const auto& remote = prepared.request.remote;
    if (remote) run->remote = remote->address.text();
    prepared.record =
        remote ? write_remote_record(remote->address) : write_record(origin, prepared.plan);
    prepared.parts = make_parts(node, prepared.request, prepared.plan, rate_of(run));
    run->task = run->tasks->begin(task_spec(prepared, origin));
    try {
        begin_job(node, prepared, run, false);
    } catch (const std::exception& problem) {
        finish(*run, {"", ApiError(500, "exception", problem.what()).object()});
        throw;
    }
}

/// An error for the task's record, of whatever is being thrown.
std::string cannot_resume() {
    std::string reason = "an unknown error";
    try {
        throw;
    } catch (const std::exception& error) {
        reason = error.what();
    }
    return ApiError(500, "task_interrupted_exception",
                    "the server ended while the task was running, and it cannot be gone on with (" +
                        reason +
                        "); what it had done until then remains, and it can be started again with "
                        "[conflicts] of [proceed]")
        .object();
}

/// On the blocking pool. False when the task has failed.
bool resume_job(Node& node, const std::shared_ptr<ReindexRun>& run) {
    try {
        Prepared prepared;
        ReindexOrigin origin;
        prepared.record = run->task->spec().resume;
        read_record(prepared.record, origin, prepared.plan);
        prepared.request = parse_reindex(origin.kind, origin.index, origin.query, origin.body);
        for (const std::string& index : prepared.plan.indices) {
            if (!node.store->exists(index)) throw index_not_found(index);
        }
        prepared.parts = make_parts(node, prepared.request, prepared.plan, rate_of(run));
        run->kind = origin.kind;
        begin_job(node, prepared, run, true);
        return true;
    } catch (...) {
        finish(*run, {"", cannot_resume()});
        return false;
    }
}

awaitable<void> resume(Node& node, std::shared_ptr<ReindexRun> run) {
    const bool begun =
        co_await runtime::call_on(node.runtime->blocking(), [&] { return resume_job(node, run); });
    if (begun) co_await follow(*node.runtime, run);
}

}  // namespace

awaitable<std::shared_ptr<ReindexRun>> start_reindex(Node& node, ReindexRequest request,
                                                     ReindexOrigin origin) {
    auto run = std::make_shared<ReindexRun>();
    run->tasks = node.tasks;
    run->kind = request.kind;
    Prepared prepared;
    prepared.request = std::move(request);
    try {
        co_await runtime::call_on(node.runtime->blocking(),
                                  [&] { prepare_and_begin(node, prepared, origin, run); });
    } catch (const job::TooManyTasks& problem) {
        throw too_many_tasks(problem);
    }
    spawn(*node.runtime, run);
    co_return run;
}

void resume_reindex_tasks(Node& node) {
    for (const job::InterruptedTask& interrupted : node.tasks->take_interrupted()) {
        auto run = std::make_shared<ReindexRun>();
        run->tasks = node.tasks;
        run->task = node.tasks->resume(interrupted);
        spdlog::info("going on with task {}: {}", task_id(node, interrupted.number),
                     interrupted.spec.description);
        boost::asio::co_spawn(node.runtime->cpu(), resume(node, run), log_escaped);
    }
}

}  // namespace penstock::serve
