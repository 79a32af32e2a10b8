// Reading the field that a processor works on, and how that fails.
#pragma once

#include <optional>
#include <string_view>

#include "engine/document/document.h"

namespace penstock::processors {

/// The text in `field`; nothing when the field is absent or null and `ignore_missing` passes over
/// that. Fails with Elasticsearch's texts, of which the one for null names what could not be done
/// ("process it"). The text lives as long as the document's arena, whatever becomes of the field.
document::Result<std::optional<std::string_view>> read_text(
    const document::Document& document, const document::FieldPath& field, bool ignore_missing,
    std::string_view purpose = "process it");

/// The same for a value that was looked up already; nullptr is an absent field.
document::Result<std::optional<std::string_view>> read_text(
    const document::Document& document, const document::FieldPath& field,
    const document::Value* found, bool ignore_missing, std::string_view purpose = "process it");

/// Whether the path is absent because it names a list element that the list does not have.
/// Elasticsearch takes that for a mistake in the pipeline: some processors fail then even where
/// missing fields are ignored.
bool is_out_of_bounds(const document::Document& document, const document::FieldPath& path);

}  // namespace penstock::processors
