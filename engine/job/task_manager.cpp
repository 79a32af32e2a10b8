#include "engine/job/task_manager.h"

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "engine/job/task_record.h"
#include "engine/runtime/durable_file.h"

namespace penstock::job {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

bool is_job(const TaskSpec& spec) {
    return spec.keep_result || !spec.resume.empty();
}

/// The number in "12.json"; nothing for other files.
std::optional<std::uint64_t> number_of(const fs::path& file) {
    if (file.extension() != ".json") return std::nullopt;
    const std::string stem = file.stem().native();
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (problem != std::errc() || end != stem.data() + stem.size()) return std::nullopt;
    return number;
}

using Timer = std::shared_ptr<asio::steady_timer>;

/// On the timer's own strand; an expiry in the past also ends a wait that has not begun.
void end_wait(const Timer& timer) {
    asio::post(timer->get_executor(),
               [timer] { timer->expires_at(steady_clock::time_point::min()); });
}

asio::awaitable<bool> wait_here(
    std::shared_ptr<Task> task, Timer timer,
    std::function<std::optional<std::uint64_t>(std::function<void()>)> add_waiter,
    std::function<void(std::uint64_t)> remove_waiter) {
    const auto waiter = add_waiter([timer] { end_wait(timer); });
    if (!waiter) co_return true;
    boost::system::error_code ignored;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    remove_waiter(*waiter);
    co_return task->finished();
}

}  // namespace

// ---- one task

Task::Task(std::uint64_t number, TaskSpec spec, system_clock::time_point start)
    : number_(number),
      spec_(std::move(spec)),
      start_(start),
      begun_(steady_clock::now()),
      before_(std::max(system_clock::now() - start, system_clock::duration::zero())) {}

bool Task::finished() const {
    std::lock_guard lock(mutex_);
    return finished_;
}

TaskInfo Task::info(bool detailed) const {
    TaskInfo info;
    info.number = number_;
    info.spec = spec_;
    info.start = start_;
    info.cancelled = cancelled();
    std::shared_ptr<const TaskHooks> hooks;
    {
        std::lock_guard lock(mutex_);
        info.completed = finished_;
        info.running = finished_ ? took_ : before_ + (steady_clock::now() - begun_);
        info.status = last_status_;
        info.outcome = outcome_;
        hooks = hooks_;
    }
    if (detailed && hooks && hooks->status) info.status = hooks->status();
    return info;
}

void Task::set_hooks(TaskHooks hooks) {
    auto shared = std::make_shared<const TaskHooks>(std::move(hooks));
    {
        std::lock_guard lock(mutex_);
        hooks_ = shared;
    }
    if (cancelled() && shared->cancel) shared->cancel();
    if (suspended_ && shared->suspend) shared->suspend();
}

bool Task::rethrottle(double requests_per_second) {
    std::shared_ptr<const TaskHooks> hooks;
    {
        std::lock_guard lock(mutex_);
        hooks = hooks_;
    }
    if (!hooks || !hooks->rethrottle) return false;
    hooks->rethrottle(requests_per_second);
    return true;
}

void Task::cancel() {
    std::shared_ptr<const TaskHooks> hooks;
    {
        std::lock_guard lock(mutex_);
        if (cancelled_.exchange(true)) return;
        hooks = hooks_;
    }
    if (hooks && hooks->cancel) hooks->cancel();
}

void Task::suspend() {
    std::shared_ptr<const TaskHooks> hooks;
    {
        std::lock_guard lock(mutex_);
        suspended_ = true;
        hooks = hooks_;
    }
    if (hooks && hooks->suspend) hooks->suspend();
}

void Task::end(TaskOutcome outcome) {
    std::shared_ptr<const TaskHooks> hooks;
    {
        std::lock_guard lock(mutex_);
        hooks = hooks_;
    }
    std::string status = hooks && hooks->status ? hooks->status() : std::string();
    std::lock_guard lock(mutex_);
    finished_ = true;
    took_ = before_ + (steady_clock::now() - begun_);
    last_status_ = std::move(status);
    outcome_ = std::move(outcome);
    hooks_.reset();  // they hold the work
}

void Task::tell_waiters() {
    std::map<std::uint64_t, std::function<void()>> waiters;
    {
        std::lock_guard lock(mutex_);
        told_ = true;
        waiters.swap(waiters_);
    }
    for (const auto& [number, waiter] : waiters)
        waiter();
}

std::optional<std::uint64_t> Task::add_waiter(std::function<void()> waiter) {
    std::lock_guard lock(mutex_);
    if (told_) return std::nullopt;
    waiters_.emplace(next_waiter_, std::move(waiter));
    return next_waiter_++;
}

void Task::remove_waiter(std::uint64_t waiter) {
    std::lock_guard lock(mutex_);
    waiters_.erase(waiter);
}

// ---- all tasks

TaskManager::TaskManager(TaskManagerOptions options) : options_(std::move(options)) {
    std::error_code error;
    fs::create_directories(options_.directory, error);
    if (error) throw Error("cannot make " + options_.directory.native() + ": " + error.message());
    load();
}

TaskManager::~TaskManager() = default;

fs::path TaskManager::record_path(std::uint64_t number) const {
    return options_.directory / (std::to_string(number) + ".json");
}

fs::path TaskManager::checkpoint_path(std::uint64_t number) const {
    return options_.directory / (std::to_string(number) + ".checkpoint");
}

void TaskManager::load() {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(options_.directory, error)) {
        if (number_of(entry.path())) load_record(entry.path());
    }
    if (error) throw Error("cannot read " + options_.directory.native() + ": " + error.message());
    drop_old_results();
}

void TaskManager::load_record(const fs::path& file) {
    const std::uint64_t number = *number_of(file);
    next_ = std::max(next_.load(), number + 1);
    const std::optional<std::string> text = read_file(file);
    std::optional<TaskRecord> record = text ? read_task_record(*text) : std::nullopt;
    if (!record) return;  // of another release, or not ours
    TaskInfo& info = record->info;
    if (!info.completed && !info.spec.resume.empty()) {
        interrupted_.push_back({number, info.spec, info.start});
        return;
    }
    if (!info.completed) {
        info.completed = true;
        info.outcome.error =
            "{\"type\":\"task_interrupted_exception\",\"reason\":\"the server ended while the task "
            "was running; what it had done until then remains, and it can be started again\"}";
        record->ended = system_clock::now();
        if (options_.results.keep) options_.results.keep(info);
        replace_file(file, write_task_record(*record));
    }
    results_.emplace(record->ended, number);
}

std::shared_ptr<Task> TaskManager::begin(TaskSpec spec) {
    auto task = std::make_shared<Task>(next_.fetch_add(1), std::move(spec), system_clock::now());
    add(task);
    if (!is_job(task->spec())) return task;
    try {
        replace_file(record_path(task->number()), write_task_record({task->info(), {}}));
    } catch (...) {
        forget(task->number());
        throw;
    }
    return task;
}

void TaskManager::add(const std::shared_ptr<Task>& task) {
    const bool job = is_job(task->spec());
    std::lock_guard lock(mutex_);
    if (stopping_) throw TooManyTasks("the server is stopping and takes no more tasks");
    if (running_.size() >= options_.max_running || (job && jobs_ >= options_.max_jobs)) {
        throw TooManyTasks(
            job ? "there are " + std::to_string(jobs_) +
                      " jobs running, which is the limit; try again when one has ended"
                : "there are " + std::to_string(running_.size()) +
                      " tasks running, which is the limit; try again when some have ended");
    }
    if (job) ++jobs_;
    running_.emplace(task->number(), task);
}

void TaskManager::forget(std::uint64_t number) {
    std::lock_guard lock(mutex_);
    const auto found = running_.find(number);
    if (found == running_.end()) return;
    if (is_job(found->second->spec())) --jobs_;
    running_.erase(found);
    ended_.notify_all();
}

void TaskManager::finish(const std::shared_ptr<Task>& task, TaskOutcome outcome) {
    const bool interrupted = outcome.interrupted;
    task->end(std::move(outcome));
    if (is_job(task->spec()) && !interrupted) settle(*task);
    forget(task->number());
    // Last: who has waited for the end finds the result kept, and the task gone from the list.
    task->tell_waiters();
}

/// The record of a job that has ended. The checkpoint goes last: without a record it is nothing,
/// but a record that is still one of a running job needs it.
void TaskManager::settle(const Task& task) {
    const std::uint64_t number = task.number();
    if (!task.spec().keep_result) return remove_files(number);
    const auto now = system_clock::now();
    const TaskInfo info = task.info();
    if (options_.results.keep) options_.results.keep(info);
    try {
        replace_file(record_path(number), write_task_record({info, now}));
    } catch (const Error&) {
        return;  // the disk is full: who waits has the answer, the next start does the rest again
    }
    std::error_code ignored;
    fs::remove(checkpoint_path(number), ignored);
    {
        std::lock_guard lock(mutex_);
        results_.emplace(now, number);
    }
    drop_old_results();
}

void TaskManager::drop_old_results() {
    std::vector<std::uint64_t> old;
    {
        std::lock_guard lock(mutex_);
        const auto oldest = system_clock::now() - options_.max_result_age;
        while (!results_.empty() &&
               (results_.size() > options_.max_results || results_.begin()->first < oldest)) {
            old.push_back(results_.begin()->second);
            results_.erase(results_.begin());
        }
    }
    if (!old.empty() && options_.results.drop) options_.results.drop(old);
    for (const std::uint64_t number : old)
        remove_files(number);
}

void TaskManager::remove_files(std::uint64_t number) const {
    std::error_code ignored;
    fs::remove(record_path(number), ignored);
    fs::remove(checkpoint_path(number), ignored);
}

std::shared_ptr<Task> TaskManager::find(std::uint64_t number) const {
    std::lock_guard lock(mutex_);
    const auto found = running_.find(number);
    return found == running_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Task>> TaskManager::running() const {
    std::vector<std::shared_ptr<Task>> all;
    std::lock_guard lock(mutex_);
    for (const auto& [number, task] : running_)
        all.push_back(task);
    return all;
}

std::optional<TaskInfo> TaskManager::stored(std::uint64_t number) const {
    const std::optional<std::string> text = read_file(record_path(number));
    std::optional<TaskRecord> record = text ? read_task_record(*text) : std::nullopt;
    if (!record) return std::nullopt;
    return std::move(record->info);
}

void TaskManager::cancel(const std::shared_ptr<Task>& task) {
    task->cancel();
    for (const std::shared_ptr<Task>& other : running()) {
        if (other->spec().parent == task->number()) cancel(other);
    }
}

asio::awaitable<bool> TaskManager::wait(std::shared_ptr<Task> task,
                                        std::chrono::milliseconds timeout) {
    const auto timer =
        std::make_shared<asio::steady_timer>(asio::make_strand(co_await asio::this_coro::executor));
    if (timeout.count() < 0) {
        timer->expires_at(steady_clock::time_point::max());
    } else {
        timer->expires_after(timeout);
    }
    auto add = [task](std::function<void()> waiter) { return task->add_waiter(std::move(waiter)); };
    auto remove = [task](std::uint64_t waiter) { task->remove_waiter(waiter); };
    // The caller's cancellation ends the wait by the timer: it could not reach another strand.
    const auto begin = [&](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([timer](asio::cancellation_type) { end_wait(timer); });
        asio::co_spawn(timer->get_executor(), wait_here(task, timer, add, remove),
                       asio::bind_cancellation_slot(asio::cancellation_slot(), std::move(handler)));
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                            void(std::exception_ptr, bool)>(begin,
                                                                            asio::use_awaitable);
}

std::vector<InterruptedTask> TaskManager::take_interrupted() {
    std::lock_guard lock(mutex_);
    return std::exchange(interrupted_, {});
}

std::shared_ptr<Task> TaskManager::resume(const InterruptedTask& interrupted) {
    auto task = std::make_shared<Task>(interrupted.number, interrupted.spec, interrupted.start);
    add(task);
    return task;
}

bool TaskManager::stop(std::chrono::milliseconds timeout) {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    for (const std::shared_ptr<Task>& task : running()) {
        if (!task->spec().resume.empty()) task->suspend();
    }
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, timeout, [this] { return jobs_ == 0; });
}

}  // namespace penstock::job
