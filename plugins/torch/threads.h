#pragma once

namespace penstock::plugins::torch {

/// Sets how many threads libtorch uses for work that the calling thread starts, and for that thread
/// alone: at::set_num_threads would change the default of every later thread of the process.
class ComputeThreads {
  public:
    /// Finds the OpenMP runtime that libtorch itself is linked with.
    ComputeThreads();
    /// False when libtorch was built without OpenMP; apply() then does nothing.
    bool available() const { return set_ != nullptr; }
    void apply(int threads) const;

  private:
    using SetThreads = void (*)(int);
    SetThreads set_ = nullptr;
};

}  // namespace penstock::plugins::torch
