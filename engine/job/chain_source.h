// Several indices read as one source.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "engine/io/source.h"

namespace penstock::job {

/// One source of a chain: open already, or opened when its turn comes.
struct ChainPart {
    std::unique_ptr<io::Source> source;
    std::function<std::unique_ptr<io::Source>()> open;  ///< blocks; used when `source` is null
    /// Records with a greater Record::offset are left out, and with them all that follows: what an
    /// index got after its job began, such as the documents that the job itself has written back.
    std::uint64_t last_offset = std::numeric_limits<std::uint64_t>::max();
};

/// Reads the parts one after another; a batch is of one part. The position holds those of the parts
/// that are open and not yet read, so that slices can be resumed. The total is known when all parts
/// are open. As thread-safe as io::Source says.
std::unique_ptr<io::Source> make_chain(std::vector<ChainPart> parts);

}  // namespace penstock::job
