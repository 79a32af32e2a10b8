#include "processors/read_field.h"

#include <string>

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Result;
using document::Value;

using OptionalText = std::optional<std::string_view>;

Result<OptionalText> read_text(const Document& document, const FieldPath& field,
                               bool ignore_missing, std::string_view purpose) {
    return read_text(document, field, document.find(field), ignore_missing, purpose);
}

Result<OptionalText> read_text(const Document& document, const FieldPath& field, const Value* found,
                               bool ignore_missing, std::string_view purpose) {
    if (found != nullptr && found->is_string()) return OptionalText(found->as_string());
    if (found != nullptr && !found->is_null()) {
        return document::failure("field [" + field.text() + "] of type [" +
                                 std::string(document::java_type_name(*found)) +
                                 "] cannot be cast to [java.lang.String]");
    }
    if (ignore_missing) return OptionalText();
    if (found == nullptr) return document.get(field).error();
    return document::failure("field [" + field.text() + "] is null, cannot " +
                             std::string(purpose) + ".");
}

bool is_out_of_bounds(const Document& document, const FieldPath& path) {
    if (path.root() == FieldPath::Root::meta) return false;
    Value at = path.root() == FieldPath::Root::ingest ? document.ingest() : document.source();
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (at.is_array()) {
            std::int32_t index = path.segment(i).index;
            if (index < 0) return false;
            if (static_cast<std::size_t>(index) >= at.as_array().size()) return true;
            at = at.as_array()[static_cast<std::size_t>(index)];
            continue;
        }
        const Value* next = at.is_object() ? at.as_object().get(path.key(i)) : nullptr;
        if (next == nullptr) return false;
        at = *next;
    }
    return false;
}

}  // namespace penstock::processors
