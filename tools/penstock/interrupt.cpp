#include "tools/penstock/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <future>

namespace penstock::tools {

struct Interrupt::State : std::enable_shared_from_this<Interrupt::State> {
    State(runtime::Runtime& runtime, std::function<void(int)> the_action)
        : signals(runtime.io(), SIGINT, SIGTERM), action(std::move(the_action)) {}

    void wait() {
        signals.async_wait([self = shared_from_this()](boost::system::error_code error, int) {
            if (error) return;
            int now = ++self->count;
            if (now > 2) ::_exit(130);
            self->action(now);
            self->wait();
        });
    }

    boost::asio::signal_set signals;
    std::function<void(int)> action;
    std::atomic<int> count{0};
};

Interrupt::Interrupt(runtime::Runtime& runtime, std::function<void(int)> action)
    : state_(std::make_shared<State>(runtime, std::move(action))) {
    state_->wait();
}

Interrupt::~Interrupt() {
    // On the I/O thread, and waited for: the action must not run once this is gone.
    std::promise<void> done;
    boost::asio::post(state_->signals.get_executor(), [this, &done] {
        state_->signals.cancel();
        done.set_value();
    });
    done.get_future().wait();
}

int Interrupt::count() const {
    return state_->count;
}

}  // namespace penstock::tools
