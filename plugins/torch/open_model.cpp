#include <filesystem>

#include "plugins/torch/encoder.h"
#include "plugins/torch/error.h"
#include "plugins/torch/model.h"
#include "plugins/torch/safetensors.h"
#include "plugins/torch/torchscript.h"

namespace penstock::plugins::torch {

std::unique_ptr<Model> open_model(const std::string& directory_name,
                                  const std::string& options_json) {
    const std::filesystem::path directory(directory_name);
    if (!std::filesystem::is_directory(directory)) {
        throw ModelError(text(directory.string(), " is not a directory"));
    }
    const Options options = parse_options(options_json);
    std::filesystem::path archive = directory / "model.pt";
    if (!std::filesystem::exists(archive)) archive = directory / "model.torchscript.pt";
    if (TensorStore::present(directory)) {
        const auto type = model_type(directory);
        if (type == "use-lite") return open_use_lite(directory, options);
        if (type == "bert") return open_bert(directory, options);
        if (!std::filesystem::exists(archive)) {
            throw ModelError(
                text((directory / "config.json").string(), ": ",
                     type ? "model_type '" + *type + "' is not supported" : "no model_type",
                     "; supported are bert, use-lite, and any model exported to "
                     "TorchScript as model.pt"));
        }
    }
    if (std::filesystem::exists(archive)) return open_torchscript(archive, options);
    const bool pickled = std::filesystem::exists(directory / "pytorch_model.bin");
    throw ModelError(text(directory.string(),
                          " has no weights: model.safetensors, model.safetensors.index.json, "
                          "model.fp16.safetensors or model.pt is expected",
                          pickled ? " (convert pytorch_model.bin to safetensors)" : ""));
}

}  // namespace penstock::plugins::torch
