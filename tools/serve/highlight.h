// Fragments of texts with the words that matched marked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/json_writer.h"
#include "engine/io/index_snapshot.h"

namespace penstock::serve {

struct HighlightField {
    std::string pattern;
    std::string before = "<em>";
    std::string behind = "</em>";
    std::size_t fragment_size = 100;
    std::size_t fragments = 5;  ///< at most so many; 0: the whole text
    std::size_t no_match_size = 0;
    bool require_field_match = true;
    std::shared_ptr<const io::Query> query;  ///< what is marked; null: what the search looks for
    std::size_t max_offset = SIZE_MAX;       ///< words behind it are not marked
    bool as_html = false;                    ///< the text is escaped, the marks around it are not
};

struct HighlightRequest {
    std::vector<HighlightField> fields;
};

/// From the `highlight` member of a search, whose queries are read with `options`. Throws ApiError
/// 400 and io::QueryError.
HighlightRequest parse_highlight(document::Value value, const io::QueryOptions& options);

/// Writes the `highlight` member of one hit, unless nothing is marked. `query` is the search's,
/// null when it has none; `source` is the document's.
void write_highlight(document::JsonWriter& json, const HighlightRequest& request,
                     const io::Query* query, io::IndexSnapshot& snapshot, std::int64_t seq_no,
                     std::string_view source);

/// Pieces of some `field.fragment_size` bytes around the marks (\1 and \2) of `text`, whole
/// sentences where they fit, with the field's own marks.
std::vector<std::string> fragments_of(std::string_view text, const HighlightField& field);

}  // namespace penstock::serve
