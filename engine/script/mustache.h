// Compiled Mustache: the program behind template.h's classes. Private to engine/script.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/document.h"
#include "engine/script/template.h"

namespace penstock::script::mustache {

/// A part of a template's source. Offsets, not views, so that programs can be moved.
struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

/// What a name's segment means at the root of the model, where metadata live beside the fields.
enum class RootName : std::uint8_t { field, source, ingest, meta };

/// One part of a dotted name, prepared for lookup in objects and lists.
struct Segment {
    Range text;
    std::uint32_t hash;
    std::int32_t index;  // -1 when it is not a list index
    RootName root;
    document::Meta meta;
    bool is_size;  // `list.size`
};

/// "a.b.c", or "." when it has no segments.
struct Name {
    Range text;
    std::uint32_t hash;  // of the whole, for a field whose name has dots
    std::uint32_t first;
    std::uint32_t count;
};

enum class Op : std::uint8_t { text, variable, section, inverted, url, to_json, join };

struct Instruction {
    Op op;
    bool raw = false;         // a variable that is not escaped
    Range text;               // of text; a join's delimiter
    std::uint32_t name = 0;   // in Code::names
    std::uint32_t after = 0;  // of a section: the first instruction behind it
};

/// A compiled template.
struct Code {
    std::string source;
    MediaType media_type = MediaType::json;
    std::vector<Instruction> instructions;
    std::vector<Name> names;
    std::vector<Segment> segments;

    std::string_view text(Range range) const {
        return std::string_view(source).substr(range.begin, range.end - range.begin);
    }
};

/// Throws penstock::Error that says where the mistake is.
Code compile(std::string_view text, MediaType media_type);

/// Appends the rendering for `document` to `out`.
void render(const Code& code, const document::Document& document, std::string& out);

/// The rendering as a value in the document's arena. A template that is one variable with a string
/// in it hands that string on without a copy: the most common template there is.
document::Value render_value(const Code& code, document::Document& document);

}  // namespace penstock::script::mustache
