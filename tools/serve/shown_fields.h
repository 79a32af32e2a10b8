// The `fields` of a hit: values of its source, in the formats that a search asks for.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/io/index_snapshot.h"
#include "tools/serve/search_request.h"

namespace penstock::serve {

/// Told how many bytes are taken beside what is written; throws when they are too many.
using OnMemory = std::function<void(std::size_t bytes)>;

/// Writes the member `fields` of a hit, unless it has none of them. Throws ApiError 400 for a
/// format of a field that has none.
void write_fields(document::JsonWriter& json, const std::vector<ShownField>& fields,
                  io::IndexSnapshot& snapshot, std::string_view source, const OnMemory& on_memory);

}  // namespace penstock::serve
