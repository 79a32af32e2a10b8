// The process's threads: all of them are made here, and nowhere else but in deployments (their
// allocations).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

namespace penstock::runtime {

struct RuntimeOptions {
    int cpu_threads = 0;       ///< 0: as many as the machine has processors
    int blocking_threads = 4;  ///< for files and the embedded index, whose calls wait for the disk
    int network_threads = 16;  ///< for calls that wait for other machines; made when first needed
};

/// One I/O context for timers, signals and sockets, one pool for work that uses the processor, one
/// for calls that block, one for calls that wait for other machines. Made by `main` and by tests;
/// outlives whatever runs on it. Thread-safe.
class Runtime {
  public:
    explicit Runtime(const RuntimeOptions& options = {});
    /// Stops: what waits is abandoned, what runs is waited for.
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    boost::asio::any_io_executor io() const;
    boost::asio::any_io_executor cpu() const;
    boost::asio::any_io_executor blocking() const;
    /// Apart from `blocking`, because the other machine may be this very process: what it answers
    /// with must never stand in the queue behind who waits for it.
    boost::asio::any_io_executor network() const;
    int cpu_threads() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::runtime
