// The documents of several indices as one source, in the order of a search.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/index_snapshot.h"
#include "engine/io/source.h"

namespace penstock::io {

/// An index that is read in order with others.
struct SortedPart {
    std::string index;
    std::shared_ptr<const Query> filter;  ///< of an alias; null: none
    /// Documents with a greater sequence number are left out: they came after the job began.
    std::int64_t last_seq_no = std::numeric_limits<std::int64_t>::max();
};

struct SortedOptions {
    std::vector<SortedPart> parts;
    std::shared_ptr<const Query> query;  ///< null: all documents
    std::vector<SortKey> sort;
    std::size_t slices = 1;
    /// What is kept of the order at a time, and looked up anew behind it: a slice wants no more
    /// documents than these, or many times as many.
    std::size_t window = 100'000;
};

/// One source a slice; all of them see the same state of the indices, which is what searches see,
/// each sorts its own documents,
/// and together they give every document that matches once. Equal documents come in the order of
/// their last change. A batch is of one index. Each slice holds at most `window` places and 16 MiB
/// of values to sort by; every further window costs a look at all documents. A position is good for
/// a later opening as well, where the documents still to come are those that go behind it then; but
/// not when scores decide the order, which change with the index. Throws QueryError when the
/// indices cannot be asked, penstock::Error.
std::vector<std::unique_ptr<Source>> open_sorted(IndexStore& store, const SortedOptions& options);

}  // namespace penstock::io
