// A look into a shared library's file without loading it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace penstock::plugin {

/// What a file says about itself. Loading a library runs its constructors; this runs nothing.
struct LibraryFile {
    /// Why it cannot be a plugin of this machine (not a shared library, cut off, another machine);
    /// else empty.
    std::string problem;
    /// The ABI major versions whose entry symbol (`penstock_plugin_v<N>`) it exports, ascending.
    /// Nothing when the file has no section table to read them from; then only loading can tell.
    std::optional<std::vector<std::uint32_t>> majors;
};

/// Reads a regular file. Every offset in it is checked, so a hostile file is only a problem to
/// report. Thread-safe.
LibraryFile inspect_library(const std::filesystem::path& file);

}  // namespace penstock::plugin
