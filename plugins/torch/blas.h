#pragma once

#include <mutex>

namespace penstock::plugins::torch {

/// How the BLAS that libtorch is linked with does its work.
struct Blas {
    enum class Threads {
        unknown,  ///< not OpenBLAS: the reference BLAS, BLIS, MKL
        none,     ///< OpenBLAS built without threads, and without locks around its work buffers
        own,      ///< OpenBLAS with a pool of its own, the same for every caller
        openmp,   ///< OpenBLAS with OpenMP: as many threads as the caller's setting says
    };
    Threads threads = Threads::unknown;

    /// False when two threads may not compute at once. OpenBLAS without threads hands the same work
    /// buffer to both now and then, and one of them gets a wrong product (seen with 0.3.21: 283 of
    /// 80,000 products on two cores; the OpenMP and pthread builds had none).
    bool reentrant() const { return threads != Threads::none; }
};

/// Looks at the library that libtorch resolves its matrix product from. OpenBLAS with a pool of its
/// own is set to one thread: it would use every core for each caller, and Linear splits the work
/// itself.
Blas inspect_blas();

/// The one place in the process that may compute while the BLAS is not reentrant. Held for one run.
std::unique_lock<std::mutex> take_blas_turn();

/// GFLOP/s of one product 128 x 384 x 1536 through that BLAS on the calling thread, best of a few.
/// The reference BLAS reaches about 1.5; OpenBLAS, BLIS and MKL 20 and more.
double blas_gflops();

}  // namespace penstock::plugins::torch
