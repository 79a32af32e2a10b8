#include <string_view>

#include "processors/builtin.h"
#include "processors/string_processor.h"

namespace penstock::processors {

using document::Value;

namespace {

/// As Java's String.trim: every character up to U+0020, control characters too, and no other
/// blanks.
document::Result<Value> trimmed(std::string_view text, document::Arena&) {
    auto goes = [](char c) { return static_cast<unsigned char>(c) <= 0x20; };
    while (!text.empty() && goes(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && goes(text.back()))
        text.remove_suffix(1);
    return Value::string(text);
}

}  // namespace

pipeline::ProcessorSpec trim() {
    return {
        .name = "trim",
        .summary = "Takes white space off both ends of a string, or of every string of a list.",
        .description =
            "White space is every character up to U+0020, as in Java's `String.trim`: blanks, "
            "tabs, line "
            "ends and control characters, but not U+00A0 or other Unicode spaces.",
        .options = string_processor_options(),
        .examples = {{.options = "{field: name}",
                      .in = R"({"name":"\t Ada  Lovelace \n"})",
                      .out = R"({"name":"Ada  Lovelace"})"},
                     {.options = "{field: tags}",
                      .in = R"({"tags":[" a","b "]})",
                      .out = R"({"tags":["a","b"]})"},
                     {.options = "{field: name}",
                      .in = R"({"name":null})",
                      .fails = "field [name] is null, cannot process it."}},
        .compile =
            [](const pipeline::Config& config) { return make_string_processor(config, trimmed); },
    };
}

}  // namespace penstock::processors
