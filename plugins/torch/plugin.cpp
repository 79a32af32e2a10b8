// The C tables: everything below turns C arguments into C++ and exceptions into reasons.

#include <penstock_plugin.h>

#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

#include "plugins/torch/blas.h"
#include "plugins/torch/error.h"
#include "plugins/torch/model.h"
#include "plugins/torch/threads.h"

namespace penstock::plugins::torch {

namespace {

constexpr std::int32_t kWarning = 2;
constexpr std::int32_t kMostThreads = 1024;
constexpr double kSlowBlasGflops = 10;

struct OpenModel {
    const penstock_backend_host* host;
    ComputeThreads threads;
    Blas blas;
    std::unique_ptr<const Model> model;

    /// Held while the model computes; locks nothing where sessions may compute at once.
    std::unique_lock<std::mutex> turn() const {
        return blas.reentrant() ? std::unique_lock<std::mutex>() : take_blas_turn();
    }
};

struct Session {
    const OpenModel& owner;
    int threads;
    Output output;
};

penstock_str borrow(std::string_view value) {
    return {value.data(), value.size()};
}

std::string copy(penstock_str value) {
    return value.size == 0 ? std::string() : std::string(value.data, value.size);
}

/// The message for people: c10 appends its C++ stack to what().
std::string reason(const std::exception& error) {
    const std::string_view what = error.what();
    return std::string(what.substr(0, what.find("\nException raised from")));
}

/// Calls `work`; an exception becomes the reason of `failed`.
template <typename Result, typename Work>
Result guarded(const penstock_backend_host* host, penstock_model_error* error, Result failed,
               const Work& work) noexcept {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        host->error(error, borrow("out of memory"));
    } catch (const std::exception& exception) {
        try {
            const std::string message = reason(exception);
            host->error(error, borrow(message));
        } catch (...) {
            host->error(error, borrow(exception.what()));
        }
    } catch (...) {
        host->error(error, borrow("an unknown exception in the torch backend"));
    }
    return failed;
}

void warn(const penstock_backend_host& host, const std::string& message) {
    host.log(kWarning, borrow(message));
}

void check_blas(const OpenModel& opened) {
    constexpr std::string_view kAdvice =
        "On Debian: apt install libopenblas0-openmp, and if another is chosen, update-alternatives "
        "--config libblas.so.3-$(gcc -print-multiarch)";
    const double gflops = blas_gflops();
    if (gflops < kSlowBlasGflops) {
        warn(*opened.host,
             text("libtorch's BLAS is slow (", gflops,
                  " GFLOP/s in one thread): inference may take 10 to 60 times as long "
                  "as it could. ",
                  kAdvice));
    }
    if (!opened.blas.reentrant()) {
        warn(*opened.host, text("libtorch's BLAS is OpenBLAS without threads, which gives wrong "
                                "results when two threads use it at once: allocations take turns, "
                                "each with one thread. ",
                                kAdvice));
    }
}

void* open(const penstock_backend_host* host, penstock_model_error* error, penstock_str directory,
           penstock_str config) {
    return guarded(host, error, static_cast<void*>(nullptr), [&]() -> void* {
        auto opened =
            std::make_unique<OpenModel>(OpenModel{host, ComputeThreads(), inspect_blas(), nullptr});
        const auto turn = opened->turn();
        opened->threads.apply(1);
        opened->model = open_model(copy(directory), copy(config));
        check_blas(*opened);
        if (!opened->threads.available()) {
            warn(*host, "this libtorch has no OpenMP: threads_per_allocation has no effect");
        }
        return opened.release();
    });
}

penstock_status info(void* model, penstock_model_info* out) {
    if (out->size < sizeof(penstock_model_info)) return PENSTOCK_FAIL;
    const ModelInfo& known = static_cast<const OpenModel*>(model)->model->info();
    out->weight_bytes = known.weight_bytes;
    out->max_tokens = known.max_tokens;
    out->output_width = known.output_width;
    return PENSTOCK_OK;
}

void close(void* model) {
    delete static_cast<OpenModel*>(model);
}

void* session_open(void* model, penstock_model_error* error, std::int32_t threads) {
    const auto& opened = *static_cast<const OpenModel*>(model);
    return guarded(opened.host, error, static_cast<void*>(nullptr), [&]() -> void* {
        if (threads < 1 || threads > kMostThreads) {
            throw ModelError(
                text("a session needs 1 to ", kMostThreads, " threads, not ", threads));
        }
        return new Session{opened, threads, {}};
    });
}

void session_close(void* session) {
    delete static_cast<Session*>(session);
}

TokenBatch checked(const penstock_batch& batch, const ModelInfo& info) {
    if (batch.size < sizeof(penstock_batch)) throw ModelError("the host's batch table is too old");
    if (batch.sequences < 1 || batch.offsets[0] != 0) {
        throw ModelError("a batch needs at least one sequence, and offsets that start at 0");
    }
    TokenBatch tokens;
    tokens.offsets = {batch.offsets, batch.sequences + 1};
    for (std::size_t i = 0; i < batch.sequences; ++i) {
        const std::int64_t length = tokens.length(i);
        if (length < 0) throw ModelError("a batch's offsets must not fall");
        if (length > info.max_tokens) {
            throw ModelError(text("sequence ", i, " has ", length, " tokens, the model takes ",
                                  info.max_tokens, "; truncate or chunk the text"));
        }
    }
    const auto total = static_cast<std::size_t>(tokens.offsets.back());
    tokens.ids = {batch.ids, total};
    if (batch.type_ids != nullptr) tokens.type_ids = {batch.type_ids, total};
    return tokens;
}

penstock_status run(void* handle, penstock_model_error* error, const penstock_batch* batch,
                    penstock_result* out) {
    auto& session = *static_cast<Session*>(handle);
    const OpenModel& opened = session.owner;
    return guarded(opened.host, error, penstock_status{PENSTOCK_FAIL}, [&] {
        if (out->size < sizeof(penstock_result)) {
            throw ModelError("the host's result table is too old");
        }
        const TokenBatch tokens = checked(*batch, opened.model->info());
        const auto turn = opened.turn();
        opened.threads.apply(opened.blas.reentrant() ? session.threads : 1);
        opened.model->run(tokens, session.output);
        out->data = session.output.data.data();
        out->offsets = session.output.offsets.data();
        out->rows = session.output.rows.data();
        out->width = session.output.width;
        return penstock_status{PENSTOCK_OK};
    });
}

constexpr penstock_str literal(std::string_view value) {
    return {value.data(), value.size()};
}

constexpr penstock_backend kBackend{sizeof(penstock_backend),
                                    0,
                                    literal("torch"),
                                    open,
                                    info,
                                    close,
                                    session_open,
                                    session_close,
                                    run};
constexpr const penstock_backend* kBackends[] = {&kBackend};
constexpr penstock_plugin kPlugin{sizeof(penstock_plugin),
                                  PENSTOCK_ABI_MINOR,
                                  0,
                                  0,
                                  literal("torch"),
                                  literal(PENSTOCK_TORCH_VERSION),
                                  0,
                                  nullptr,
                                  1,
                                  kBackends};

}  // namespace

}  // namespace penstock::plugins::torch

const penstock_plugin* penstock_plugin_v1(void) {
    return &penstock::plugins::torch::kPlugin;
}
