// What the body of an update asks for.
#pragma once

#include <optional>
#include <string>

#include "tools/serve/source_filter.h"

namespace penstock::serve {

struct WriteRequest;

/// A partial document, and what becomes of one that is not there; checked.
struct DocumentUpdate {
    std::string doc;
    std::string upsert;
    bool doc_as_upsert = false;
    bool detect_noop = true;
    std::optional<SourceFilter> source;  ///< what the answer shows

    /// The body, as `request.source`. A condition that it names becomes the request's. Throws
    /// ApiError 400.
    static DocumentUpdate parse(WriteRequest& request);

    /// The document that is made where there is none; empty: that is an error.
    const std::string& inserted() const { return doc_as_upsert ? doc : upsert; }
    std::string& inserted() { return doc_as_upsert ? doc : upsert; }
    /// `document` with the changes; nothing when it stays as it is. Throws ApiError.
    std::optional<std::string> apply(const std::string& document) const;
};

}  // namespace penstock::serve
