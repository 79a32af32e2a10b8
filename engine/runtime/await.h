// Small tools for coroutines.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace penstock::runtime {

/// Calls `work` on `executor` (the blocking pool, say) and resumes on the caller's own. Exceptions
/// pass through.
template <class Executor, class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> call_on(Executor executor, Work work) {
    using Value = std::invoke_result_t<Work&>;
    // The work lives in this frame, which outlives the spawned one: that only borrows it.
    Work* borrowed = &work;
    auto call = [](Work* the_work) -> boost::asio::awaitable<Value> { co_return (*the_work)(); };
    co_return co_await boost::asio::co_spawn(executor, call(borrowed), boost::asio::use_awaitable);
}

}  // namespace penstock::runtime
