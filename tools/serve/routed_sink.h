// Where documents go that a pipeline sends elsewhere.
#pragma once

#include <memory>
#include <string>

#include "engine/io/sink.h"
#include "tools/serve/api_error.h"
#include "tools/serve/index_registry.h"

namespace penstock::serve {

/// A sink for documents on their way to `dest`, a concrete index. One whose `_index` is another by
/// now goes where a single write to that name would: through an alias to its write index, to an
/// index that is made when it may be. An index with another final pipeline than `final_pipeline`,
/// which these documents have been through, refuses them (400). When `confined`, every other index
/// does (403). New fields are mapped by the templates of their index. Used by one thread at a time;
/// `indices` outlives it.
std::unique_ptr<io::Sink> make_routed_sink(std::unique_ptr<io::Sink> inner, IndexRegistry& indices,
                                           std::string dest, std::string final_pipeline,
                                           bool confined);

/// Refuses every document as a write does that waits for more copies than there are.
std::unique_ptr<io::Sink> make_refusing_sink(const ApiError& refusal);

}  // namespace penstock::serve
