// Which parts of a source a response shows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/document/value.h"
#include "tools/serve/http_message.h"

namespace penstock::serve {

/// `_source` as true, false, or dotted names with `*`; as Elasticsearch's source filtering.
struct SourceFilter {
    bool fetch = true;
    std::vector<std::string> includes;  ///< empty: all
    std::vector<std::string> excludes;

    /// From `_source`, `_source_includes` and `_source_excludes` of the query string.
    static SourceFilter from(const Parameters& query);
    /// From the `_source` member of a body: a boolean, a name, names, or {includes, excludes}.
    /// Throws ApiError 400.
    static SourceFilter from(document::Value value);

    bool keeps_all() const { return fetch && includes.empty() && excludes.empty(); }
    /// The source's text filtered; the text itself when all is kept.
    std::string apply(std::string source) const;
};

}  // namespace penstock::serve
