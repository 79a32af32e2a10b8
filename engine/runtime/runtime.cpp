#include "engine/runtime/runtime.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <mutex>
#include <optional>
#include <thread>

namespace penstock::runtime {

namespace {

int processors() {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

struct Runtime::Impl {
    explicit Impl(const RuntimeOptions& options)
        : cpu_threads(options.cpu_threads > 0 ? options.cpu_threads : processors()),
          network_threads(static_cast<std::size_t>(std::max(1, options.network_threads))),
          cpu(static_cast<std::size_t>(cpu_threads)),
          blocking(static_cast<std::size_t>(std::max(1, options.blocking_threads))),
          work(io.get_executor()),
          io_thread([this] { io.run(); }) {}

    ~Impl() {
        work.reset();
        io.stop();
        io_thread.join();
        cpu.stop();
        blocking.stop();
        if (network) network->stop();
        cpu.join();
        blocking.join();
        if (network) network->join();
    }

    int cpu_threads;
    std::size_t network_threads;
    boost::asio::io_context io{1};
    boost::asio::thread_pool cpu;
    boost::asio::thread_pool blocking;
    std::once_flag network_made;
    std::optional<boost::asio::thread_pool> network;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
    std::thread io_thread;
};

Runtime::Runtime(const RuntimeOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Runtime::~Runtime() = default;

boost::asio::any_io_executor Runtime::io() const {
    return impl_->io.get_executor();
}
boost::asio::any_io_executor Runtime::cpu() const {
    return impl_->cpu.get_executor();
}
boost::asio::any_io_executor Runtime::blocking() const {
    return impl_->blocking.get_executor();
}
boost::asio::any_io_executor Runtime::network() const {
    std::call_once(impl_->network_made, [this] { impl_->network.emplace(impl_->network_threads); });
    return impl_->network->get_executor();
}
int Runtime::cpu_threads() const {
    return impl_->cpu_threads;
}

}  // namespace penstock::runtime
