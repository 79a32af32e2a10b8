// Tasks: what the server works at, with an id, a status, cancellation, and results that are kept.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock::job {

/// No further task is taken now; the request may come again later.
class TooManyTasks : public Error {
  public:
    using Error::Error;
};

/// What a task begins with.
struct TaskSpec {
    std::string action;       ///< "indices:data/write/reindex"
    std::string description;  ///< for people
    bool cancellable = false;
    std::uint64_t parent = 0;  ///< number of the task that it is a part of; 0: none
    std::vector<std::pair<std::string, std::string>> headers;  ///< X-Opaque-Id
    bool keep_result = false;  ///< what it ends with can be asked for afterwards
    /// JSON by which a later process can go on with it (a long job); empty: it cannot.
    std::string resume;
};

/// What a task ended with, as JSON.
struct TaskOutcome {
    std::string response;
    std::string error;         ///< {"type", "reason", ...} instead of a response
    bool interrupted = false;  ///< by TaskManager::stop: a later process goes on with it
};

/// How the manager reaches the work. Called from any thread, without locks held; may be empty.
struct TaskHooks {
    std::function<std::string()> status;  ///< JSON
    std::function<void()> cancel;         ///< once; the task then ends by itself
    std::function<void()> suspend;        ///< likewise, and ends as interrupted
    std::function<void(double)> rethrottle;
};

/// A task at one moment.
struct TaskInfo {
    std::uint64_t number = 0;
    TaskSpec spec;
    std::chrono::system_clock::time_point start;
    std::chrono::nanoseconds running{0};
    bool cancelled = false;
    std::string status;  ///< JSON; empty: none
    bool completed = false;
    TaskOutcome outcome;  ///< once completed, when the result is kept
};

/// One task that runs, or has just ended. Thread-safe; `cancelled` takes no lock.
class Task {
  public:
    Task(std::uint64_t number, TaskSpec spec, std::chrono::system_clock::time_point start);

    std::uint64_t number() const { return number_; }
    const TaskSpec& spec() const { return spec_; }
    bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
    bool finished() const;
    /// With the status only when `detailed`, because asking for it may take the work's locks.
    TaskInfo info(bool detailed = true) const;
    /// Once. A cancel that came before reaches the hook at once.
    void set_hooks(TaskHooks hooks);
    /// False when the task has no rate, or has ended.
    bool rethrottle(double requests_per_second);

  private:
    friend class TaskManager;
    void cancel();
    void suspend();
    void end(TaskOutcome outcome);
    void tell_waiters();
    /// The number to take the waiter away with; nothing when the task has ended.
    std::optional<std::uint64_t> add_waiter(std::function<void()> waiter);
    void remove_waiter(std::uint64_t waiter);

    const std::uint64_t number_;
    const TaskSpec spec_;
    const std::chrono::system_clock::time_point start_;
    const std::chrono::steady_clock::time_point begun_;
    const std::chrono::nanoseconds before_;  // of earlier processes
    std::atomic<bool> cancelled_{false};
    std::atomic<bool> suspended_{false};

    mutable std::mutex mutex_;  // guards what follows
    std::shared_ptr<const TaskHooks> hooks_;
    bool finished_ = false;
    bool told_ = false;  // the waiters
    std::chrono::nanoseconds took_{0};
    std::string last_status_;
    TaskOutcome outcome_;
    std::map<std::uint64_t, std::function<void()>> waiters_;
    std::uint64_t next_waiter_ = 0;
};

/// Somebody who has results besides the records. Both are called before the records change,
/// without locks held, and do not throw.
struct ResultHooks {
    std::function<void(const TaskInfo&)> keep;
    std::function<void(const std::vector<std::uint64_t>&)> drop;
};

struct TaskManagerOptions {
    std::filesystem::path directory;   ///< for records, results and checkpoints; made
    std::size_t max_running = 10'000;  ///< tasks of all kinds
    std::size_t max_jobs = 100;        ///< of these, with keep_result or resume
    std::size_t max_results = 1000;    ///< the oldest go first
    std::chrono::hours max_result_age{7 * 24};
    ResultHooks results;  ///< the constructor calls them too
};

/// A job that was running when an earlier process ended, and can be gone on with.
struct InterruptedTask {
    std::uint64_t number = 0;
    TaskSpec spec;
    std::chrono::system_clock::time_point start;
};

/// All tasks of one server. Thread-safe. A task without keep_result and resume costs one short lock
/// at its beginning and one at its end; the others' records are files (NUMBER.json, replaced as a
/// whole and synced), so begin, finish, stored and resume block for them.
class TaskManager {
  public:
    /// Reads the records. Jobs that ran when an earlier process ended and cannot be resumed are
    /// failed ones from now on. Throws penstock::Error for a directory that cannot be used.
    explicit TaskManager(TaskManagerOptions options);
    ~TaskManager();

    /// Throws TooManyTasks, and Error when the record cannot be written.
    std::shared_ptr<Task> begin(TaskSpec spec);
    /// Once for each task that has begun.
    void finish(const std::shared_ptr<Task>& task, TaskOutcome outcome = {});

    /// Null when no task of that number runs.
    std::shared_ptr<Task> find(std::uint64_t number) const;
    /// In the order of their beginnings.
    std::vector<std::shared_ptr<Task>> running() const;
    /// A kept result, or a job that waits to be resumed (not completed).
    std::optional<TaskInfo> stored(std::uint64_t number) const;

    /// The task and its children.
    void cancel(const std::shared_ptr<Task>& task);
    /// Until the task has ended, the time is over (negative: no limit) or the caller is cancelled;
    /// true when the task has ended.
    static boost::asio::awaitable<bool> wait(std::shared_ptr<Task> task,
                                             std::chrono::milliseconds timeout);

    /// Jobs of an earlier process; each is given once, to be resumed or failed.
    std::vector<InterruptedTask> take_interrupted();
    /// Begins it again under its number.
    std::shared_ptr<Task> resume(const InterruptedTask& task);

    /// Where the job of that number keeps its checkpoint; removed with the end of the task.
    std::filesystem::path checkpoint_path(std::uint64_t number) const;

    /// Takes no more tasks, suspends the jobs that can be resumed, and blocks until they have ended
    /// or `timeout` is over; true when they have. Can be called again.
    bool stop(std::chrono::milliseconds timeout);

  private:
    std::filesystem::path record_path(std::uint64_t number) const;
    void load();
    void load_record(const std::filesystem::path& file);
    void remove_files(std::uint64_t number) const;
    void settle(const Task& task);
    void drop_old_results();
    void add(const std::shared_ptr<Task>& task);
    void forget(std::uint64_t number);

    const TaskManagerOptions options_;
    std::atomic<std::uint64_t> next_{1};
    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable ended_;
    bool stopping_ = false;
    std::size_t jobs_ = 0;  // of those that run
    std::map<std::uint64_t, std::shared_ptr<Task>> running_;
    std::multimap<std::chrono::system_clock::time_point, std::uint64_t> results_;  // by their end
    std::vector<InterruptedTask> interrupted_;
};

/// A task for the length of a scope, which ends with it without a result.
class TaskScope {
  public:
    TaskScope(TaskManager& manager, TaskSpec spec)
        : manager_(manager), task_(manager.begin(std::move(spec))) {}
    ~TaskScope() { manager_.finish(task_); }
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    Task& task() { return *task_; }

  private:
    TaskManager& manager_;
    std::shared_ptr<Task> task_;
};

}  // namespace penstock::job
