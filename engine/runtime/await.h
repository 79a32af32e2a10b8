// Small tools for coroutines.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace penstock::runtime {

/// For `co_spawn` onto another executor: the caller's cancellation does not reach what is spawned.
/// The caller is resumed when that has ended, and learns of its cancellation at its next wait.
/// Asio cannot cancel across executors: the emission may come after the signal it was for is gone.
inline auto uncancelled() {
    return boost::asio::bind_cancellation_slot(boost::asio::cancellation_slot(),
                                               boost::asio::use_awaitable);
}

/// Calls `work` on `executor` (the blocking pool, say) and resumes on the caller's own. Exceptions
/// pass through. Work that has begun is not cancelled.
template <class Executor, class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> call_on(Executor executor, Work work) {
    using Value = std::invoke_result_t<Work&>;
    // The work lives in this frame, which outlives the spawned one: that only borrows it.
    Work* borrowed = &work;
    auto call = [](Work* the_work) -> boost::asio::awaitable<Value> { co_return (*the_work)(); };
    co_return co_await boost::asio::co_spawn(executor, call(borrowed), uncancelled());
}

}  // namespace penstock::runtime
