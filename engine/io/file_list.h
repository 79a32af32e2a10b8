// Which files a location means, and how they are read. Private to engine/io.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/io/source.h"

namespace penstock::io {

struct InputFile {
    std::string path;  ///< as given, normalised; "-" for standard input
    Format format = Format::ndjson;
    std::uint64_t size = 0;  ///< raw bytes; 0 for a pipe
    bool pipe = false;       ///< cannot be read twice
    bool divisible = false;  ///< as is_divisible() says, where somebody has asked it
};

/// Throws penstock::Error when there is nothing there or a format cannot be told.
std::vector<InputFile> list_files(const SourceOptions& options);

/// Plain NDJSON: may be read from any line end. Opens the file, since only its bytes tell whether
/// it is compressed.
bool is_divisible(const InputFile& file, const SourceOptions& options);

}  // namespace penstock::io
