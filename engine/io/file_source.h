// Records of a list of files. Private to engine/io.
#pragma once

#include <memory>
#include <vector>

#include "engine/io/file_list.h"
#include "engine/io/source.h"

namespace penstock::io {

/// The part of a file that one source reads: the records that begin in [begin, end).
struct FilePart {
    InputFile file;
    std::uint64_t begin = 0;
    std::uint64_t end =
        UINT64_MAX;  ///< UINT64_MAX: to the end of the file, however long it has become
};

/// `plan` names a division into slices; empty for a source that reads everything.
std::unique_ptr<Source> make_file_source(std::vector<FilePart> parts, const SourceOptions& options,
                                         std::string plan);

}  // namespace penstock::io
