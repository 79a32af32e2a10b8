#include "plugins/torch/threads.h"

#include <ATen/Parallel.h>

#include "plugins/torch/loaded_library.h"

namespace penstock::plugins::torch {

ComputeThreads::ComputeThreads() {
    const LoadedLibrary aten(reinterpret_cast<const void*>(&at::get_num_threads));
    set_ = reinterpret_cast<SetThreads>(aten.symbol("omp_set_num_threads"));
}

void ComputeThreads::apply(int threads) const {
    if (set_ == nullptr) return;
    // A thread's first ATen call applies the process-wide default, which would overwrite a number
    // set before it.
    (void)at::get_num_threads();
    set_(threads);
}

}  // namespace penstock::plugins::torch
