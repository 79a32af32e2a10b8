// What the embedded index takes out of a document: texts and vectors. Private to engine/io.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/mapped_fields.h"

namespace penstock::io {

/// A member that was taken out of the source's text and how to write it again.
struct Cut {
    std::int64_t at = -1;  ///< offset in the stripped source; -1: the vector stayed in the source
    int style = 0;
    std::string prefix;  ///< `,"embedding":`
    std::string suffix;
};

struct TextValue {
    std::string field;
    std::string pointer;  ///< of the nearest enclosing array element, else empty
    std::string text;
};

struct VectorValue {
    std::string field;
    std::string pointer;
    std::vector<float> values;
    Cut cut;
};

/// `whole_text` is how extract() is told of texts whose values are no words: dates, keywords.
enum class FieldType { unknown, text, vector, long_number, float_number, boolean, whole_text };

/// A number or truth value of a field that was not known to hold one.
struct ScalarField {
    std::string field;
    FieldType type = FieldType::unknown;
};

struct Extracted {
    std::vector<TextValue> texts;
    std::vector<VectorValue> vectors;
    std::vector<ScalarField> scalars;
    bool has_unlisted = false;  ///< values whose names are too long are not listed above
    std::string stripped;       ///< the source without the vectors that were cut
    std::string error;          ///< why it cannot be indexed; empty when it can
    const char* error_type = "document_parsing_exception";
};

/// What is known of fields before a document comes.
struct FieldRules {
    std::function<FieldType(const std::string& path)> type_of;
    /// What becomes of a field's value. Empty: all are indexed.
    std::function<MappedFields::Treatment(const std::string& path)> treat;
};

constexpr std::size_t kMinDynamicDims = 128;
constexpr std::size_t kMaxDims = 4096;

/// Reads one JSON object. Refuses what document::JsonParser would refuse: whoever reads the
/// document later must be able to.
Extracted extract(std::string_view source, const FieldRules& rules);

/// The text of a vector in a style that Cut names. render_vector(values, style) is what was cut,
/// byte by byte.
std::string render_vector(const std::vector<float>& values, int style);

/// The text of the value at a JSON pointer; empty when there is none.
std::string_view at_pointer(std::string_view source, std::string_view pointer);

/// The member of a JSON object that best stands for it as text: `text`, `content`, `body`,
/// `passage`, `chunk`, else the longest string. Empty when there is none.
std::string best_text(std::string_view object);

}  // namespace penstock::io
