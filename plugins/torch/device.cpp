#include "plugins/torch/device.h"

#include <ATen/Context.h>
#include <ATen/ops/zeros.h>

#include "plugins/torch/error.h"

namespace penstock::plugins::torch {

namespace {

at::Device parse_device(const std::string& name) {
    try {
        const at::Device device(name);
        if (device.is_cpu() || device.is_cuda()) return device;
    } catch (const c10::Error&) {
        // Not a device name at all; the message below says what is.
    }
    throw ModelError(text("device '", name, "' is not known: cpu, cuda or cuda:N is expected"));
}

void check_cuda(const at::Device& device) {
    if (!at::hasCUDA()) {
        throw ModelError(
            text("device '", device.str(),
                 "': this libtorch was built without CUDA or finds no CUDA driver; use "
                 "device cpu, or build Penstock against a CUDA libtorch "
                 "(CMAKE_PREFIX_PATH)"));
    }
    try {
        (void)at::zeros({1}, at::TensorOptions().device(device));
    } catch (const c10::Error& error) {
        throw ModelError(
            text("device '", device.str(), "' cannot be used: ", error.what_without_backtrace()));
    }
}

}  // namespace

Placement resolve_placement(const Options& options) {
    Placement placement;
    placement.device = parse_device(options.device);
    if (placement.device.is_cuda()) {
        check_cuda(placement.device);
        placement.dtype = options.dtype == "float32" ? at::kFloat : at::kHalf;
    } else if (options.dtype == "float16") {
        throw ModelError(
            "dtype float16 needs device cuda:N: on the CPU fp16 weights are widened to float32 "
            "when "
            "they are loaded; use dtype auto");
    }
    return placement;
}

}  // namespace penstock::plugins::torch
