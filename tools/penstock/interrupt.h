// Ctrl-C and termination, for commands that run for long.
#pragma once

#include <functional>
#include <memory>

#include "engine/runtime/runtime.h"

namespace penstock::tools {

/// Calls `action` with 1 at the first SIGINT or SIGTERM and with 2 at the second; a third ends the
/// process at once. The action runs on the I/O thread and must be short. Ends with this object.
class Interrupt {
  public:
    Interrupt(runtime::Runtime& runtime, std::function<void(int count)> action);
    ~Interrupt();
    int count() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace penstock::tools
