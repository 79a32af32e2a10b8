#pragma once

#include <filesystem>

namespace penstock::plugins::torch {

/// Looks through a TorchScript archive before libtorch does: that it is a whole ZIP file whose
/// stored entries lie inside it, and that its code defines no hook that would run while it is
/// loaded. Throws ModelError with the reason for refusing it.
void check_torchscript_archive(const std::filesystem::path& path);

}  // namespace penstock::plugins::torch
