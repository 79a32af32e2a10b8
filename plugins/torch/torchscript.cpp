#include "plugins/torch/torchscript.h"

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "plugins/torch/archive.h"
#include "plugins/torch/device.h"
#include "plugins/torch/error.h"
#include "plugins/torch/layers.h"

namespace penstock::plugins::torch {

namespace {

namespace jit = ::torch::jit;

constexpr std::int64_t kMostInputs = 4;
constexpr std::int64_t kDefaultMaxTokens = 512;
constexpr std::int64_t kProbeTokens = 2;
constexpr std::size_t kMostNodes = 1'000'000;

/// Operations by which a graph could reach files, memory outside its tensors, an interpreter or
/// threads that no allocation accounts for. Elasticsearch's ml-cpp refuses the first three
/// likewise. A call that is left after inlining (of a module interface, or of a function that is a
/// value) goes to a body that nobody has read.
constexpr std::array<std::string_view, 18> kForbidden{"aten::from_file",
                                                      "aten::save",
                                                      "aten::as_strided",
                                                      "aten::as_strided_",
                                                      "aten::as_strided_copy",
                                                      "aten::as_strided_scatter",
                                                      "aten::set_",
                                                      "aten::resize_",
                                                      "aten::_resize_output_",
                                                      "aten::load",
                                                      "prim::PythonOp",
                                                      "prim::IgnoredPythonOp",
                                                      "prim::CallMethod",
                                                      "prim::CallFunction",
                                                      "prim::fork",
                                                      "prim::rpc_async",
                                                      "prim::rpc_sync",
                                                      "prim::rpc_remote"};

/// Only operations that libtorch brings itself are expected in a model.
constexpr std::array<std::string_view, 5> kNamespaces{
    "aten::", "prim::", "quantized::", "prepacked::", "mkldnn::"};

void check_nodes(const jit::Block& block, std::size_t& nodes) {
    for (const jit::Node* node : block.nodes()) {
        const std::string_view name = node->kind().toQualString();
        const bool known = std::ranges::any_of(
            kNamespaces, [&](std::string_view prefix) { return name.starts_with(prefix); });
        if (!known || std::ranges::find(kForbidden, name) != kForbidden.end()) {
            throw ModelError(text("Model definition refused: its graph has the operation ", name));
        }
        if (++nodes > kMostNodes) {
            throw ModelError(
                text("Model definition refused: its graph has more than ", kMostNodes, " nodes"));
        }
        for (const jit::Block* inner : node->blocks())
            check_nodes(*inner, nodes);
    }
}

/// Walks all that forward can reach, calls of other functions and methods included.
void check_graph(const jit::Module& module) {
    for (const jit::Module& part : module.modules()) {
        if (!part.type()->getForwardHooks().empty() || !part.type()->getForwardPreHooks().empty()) {
            throw ModelError("Model definition refused: it has forward hooks");
        }
    }
    const auto graph = module.get_method("forward").graph()->copy();
    jit::Inline(*graph);
    std::size_t nodes = 0;
    check_nodes(*graph->block(), nodes);
}

/// The first tensor of what a model returned.
at::Tensor first_tensor(const c10::IValue& value) {
    if (value.isTensor()) return value.toTensor();
    if (value.isTuple() && !value.toTupleRef().elements().empty()) {
        return first_tensor(value.toTupleRef().elements()[0]);
    }
    if (value.isTensorList() && !value.toTensorList().empty()) return value.toTensorList().get(0);
    if (value.isGenericDict() && !value.toGenericDict().empty()) {
        return first_tensor(value.toGenericDict().begin()->value());
    }
    throw ModelError(
        "forward returned no tensor (a tensor, or a tuple, list or dictionary with one "
        "first, is expected)");
}

class TorchScript final : public Model {
  public:
    TorchScript(const std::filesystem::path& archive, const Options& options,
                const PoolingConfig& pooling)
        : device_(resolve_placement(options).device),
          pooling_(options.pooling.value_or(pooling.pooling.value_or(Pooling::none))),
          normalize_(options.normalize.value_or(pooling.normalize)),
          module_(jit::load(archive.string(), device_)) {
        module_.eval();
        check_graph(module_);
        const auto& arguments = module_.get_method("forward").function().getSchema().arguments();
        inputs_ = static_cast<std::int64_t>(arguments.size()) - 1;  // the first is self
        if (inputs_ < 1 || inputs_ > kMostInputs) {
            throw ModelError(text("forward takes ", inputs_,
                                  " inputs; 1 to 4 are expected: input_ids, attention_mask, "
                                  "token_type_ids, position_ids"));
        }
        for (const at::Tensor& tensor : module_.parameters())
            info_.weight_bytes += tensor.nbytes();
        for (const at::Tensor& tensor : module_.buffers())
            info_.weight_bytes += tensor.nbytes();
        const auto limit = options.max_tokens ? options.max_tokens : pooling.max_tokens;
        info_.max_tokens =
            limit.value_or(max_positions(archive.parent_path()).value_or(kDefaultMaxTokens));
        probe();
    }

    const ModelInfo& info() const override { return info_; }

    void run(const TokenBatch& batch, Output& output) const override {
        const c10::InferenceMode guard;
        std::vector<at::Tensor> results;
        results.reserve(batch.sequences());
        for (std::size_t i = 0; i < batch.sequences(); ++i) {
            results.push_back(forward(batch, i));
            const std::int64_t width = results.back().size(1);
            if (width != info_.output_width) {
                throw ModelError(text("forward returned ", width, " numbers for ", batch.length(i),
                                      " tokens and ", info_.output_width, " for ", kProbeTokens,
                                      ": a width that depends on the text is no embedding"));
            }
        }
        output.reset(batch.sequences(), info_.output_width,
                     [&](std::size_t i) { return results[i].size(0); });
        for (std::size_t i = 0; i < batch.sequences(); ++i) {
            std::copy_n(results[i].data_ptr<float>(), results[i].numel(),
                        output.data.data() + output.offsets[i]);
        }
    }

  private:
    /// Calls the model once, so that a signature or result that does not fit shows at load.
    void probe() {
        const c10::InferenceMode guard;
        const std::array<std::int64_t, 2> offsets{0, kProbeTokens};
        const std::array<std::int32_t, kProbeTokens> ids{1, 2};
        info_.output_width = forward({offsets, ids, {}}, 0).size(1);
    }

    /// The result of one sequence, float [rows, width] on the CPU.
    at::Tensor forward(const TokenBatch& batch, std::size_t sequence) const {
        const std::array<std::size_t, 1> order{sequence};
        constexpr std::int64_t kAnyId = std::numeric_limits<std::int32_t>::max();
        const PackedTokens tokens = pack(batch, order, kAnyId, kAnyId, device_);
        const at::Tensor ids = tokens.ids.unsqueeze(0);
        const std::array<at::Tensor, kMostInputs> all{
            ids, at::ones_like(ids), tokens.type_ids.unsqueeze(0), tokens.positions.unsqueeze(0)};
        std::vector<c10::IValue> arguments(all.begin(), all.begin() + inputs_);
        // A Module is a handle: calling through a copy leaves the shared one const.
        jit::Module module = module_;
        at::Tensor result = first_tensor(module.forward(std::move(arguments))).to(at::kFloat);
        if (result.dim() == 3 && result.size(0) == 1) {
            result = pool(result.squeeze(0), tokens, pooling_);
        } else if (result.dim() != 2 || result.size(0) != 1) {
            throw ModelError(text("forward returned a tensor of shape ", result.sizes(),
                                  "; [1, width] or [1, tokens, width] is expected"));
        }
        if (normalize_) result = normalized(result);
        return result.to(at::kCPU).contiguous();
    }

    at::Device device_;
    Pooling pooling_;
    bool normalize_;
    jit::Module module_;
    std::int64_t inputs_ = 0;
    ModelInfo info_;
};

/// What libtorch says without its C++ stack.
std::string first_line(const std::string& message) {
    return message.substr(0, message.find('\n'));
}

}  // namespace

std::unique_ptr<Model> open_torchscript(const std::filesystem::path& archive,
                                        const Options& options) {
    check_torchscript_archive(archive);
    try {
        return std::make_unique<TorchScript>(archive, options, read_pooling(archive.parent_path()));
    } catch (const c10::Error& error) {
        throw ModelError(text(archive.string(), ": libtorch cannot load it: ",
                              first_line(error.what_without_backtrace())));
    }
}

}  // namespace penstock::plugins::torch
