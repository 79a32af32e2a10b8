#include "engine/inference/infer_async.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace penstock::inference {
namespace {

namespace asio = boost::asio;

// One awaited request: the handler that resumes the coroutine, and the timer of its deadline. The
// timer is started before the request is submitted and cancelled after it is answered, so no two
// threads touch it at once.
template <class Handler>
struct Operation {
    Operation(Handler resume, const asio::any_io_executor& executor)
        : handler(std::move(resume)), timer(executor) {}

    void finish(InferResult result) {
        timer.cancel();
        asio::get_associated_cancellation_slot(handler).clear();
        std::move(handler)(std::move(result));
    }

    Handler handler;
    asio::steady_timer timer;
};

auto start(std::shared_ptr<Deployment> deployment, InferRequest request,
           asio::any_io_executor executor) {
    return [deployment = std::move(deployment), request, executor](auto handler) {
        using Op = Operation<decltype(handler)>;
        const auto operation = std::make_shared<Op>(std::move(handler), executor);
        const CallHandle call = make_call();
        operation->timer.expires_at(deadline_of(request.options));
        operation->timer.async_wait([deployment, call](const boost::system::error_code& error) {
            if (!error) deployment->cancel(call, CancelReason::timed_out);
        });
        auto slot = asio::get_associated_cancellation_slot(operation->handler);
        if (slot.is_connected()) {
            slot.assign([deployment, call](asio::cancellation_type) { deployment->cancel(call); });
        }
        deployment->submit(call, request, [operation, executor](InferResult result) mutable {
            // Given away: the timer must not die here, on an allocation's thread, when its context
            // may be gone already.
            asio::post(executor,
                       [operation = std::move(operation), result = std::move(result)]() mutable {
                           operation->finish(std::move(result));
                       });
        });
    };
}

InferResult not_found(std::size_t texts, const InferError& error) {
    InferResult result;
    result.items.resize(texts);
    for (InferItem& item : result.items)
        item.error = error;
    return result;
}

}  // namespace

asio::awaitable<InferResult> infer(std::shared_ptr<Deployment> deployment, InferRequest request) {
    const auto executor = co_await asio::this_coro::executor;
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(InferResult)>(
        start(std::move(deployment), request, executor), asio::use_awaitable);
}

asio::awaitable<InferResult> infer(const Deployments& deployments, std::string id,
                                   InferRequest request) {
    std::shared_ptr<Deployment> deployment = deployments.resolve(id);
    if (!deployment) co_return not_found(request.texts.size(), deployments.unknown(id));
    co_return co_await infer(std::move(deployment), request);
}

}  // namespace penstock::inference
