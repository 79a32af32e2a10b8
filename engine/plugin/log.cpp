#include "engine/plugin/log.h"

#include <algorithm>
#include <atomic>

namespace penstock::plugin {
namespace {
std::atomic<LogFunction> log_function{nullptr};
}  // namespace

void set_log(LogFunction function) {
    log_function.store(function);
}

void host_log(std::int32_t level, penstock_str message) {
    const LogFunction function = log_function.load();
    if (!function || message.size == 0) return;
    function(std::clamp<int>(level, 0, 3), std::string_view(message.data, message.size));
}

}  // namespace penstock::plugin
