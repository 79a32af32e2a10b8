#include "plugins/torch/blas.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <ctime>

#include "plugins/torch/loaded_library.h"

namespace penstock::plugins::torch {

Blas inspect_blas() {
    const LoadedLibrary aten(reinterpret_cast<const void*>(&at::get_num_threads));
    const LoadedLibrary blas(aten.symbol("sgemm_"));
    const auto parallel = reinterpret_cast<int (*)()>(blas.symbol("openblas_get_parallel"));
    if (parallel == nullptr) return {};
    switch (parallel()) {
        case 0:
            return {Blas::Threads::none};
        case 1: {
            const auto set_threads =
                reinterpret_cast<void (*)(int)>(blas.symbol("openblas_set_num_threads"));
            if (set_threads != nullptr) set_threads(1);
            return {Blas::Threads::own};
        }
        case 2:
            return {Blas::Threads::openmp};
        default:
            return {};
    }
}

std::unique_lock<std::mutex> take_blas_turn() {
    // The buffers that must not be shared are the process's, so the lock is too.
    static std::mutex turn;
    return std::unique_lock(turn);
}

double blas_gflops() {
    constexpr int kRows = 128;
    constexpr int kInner = 384;
    constexpr int kColumns = 1536;
    constexpr int kRounds = 3;
    constexpr double kFlops = 2.0 * kRows * kInner * kColumns;
    constexpr double kSlowBeyondDoubt = 0.05;  // seconds; more rounds would only delay the load
    // Processor time: on a busy machine the wall clock would call any library slow.
    const auto cpu_seconds = [] {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
    };

    const c10::InferenceMode guard;
    const at::Tensor a = at::ones({kRows, kInner});
    const at::Tensor b = at::ones({kInner, kColumns});
    double best = 0;
    for (int round = 0; round < kRounds; ++round) {
        const double start = cpu_seconds();
        const at::Tensor product = at::mm(a, b);
        const double seconds = cpu_seconds() - start;
        best = std::max(best, kFlops / std::max(seconds, 1e-9) * 1e-9);
        if (seconds > kSlowBeyondDoubt) break;
    }
    return best;
}

}  // namespace penstock::plugins::torch
