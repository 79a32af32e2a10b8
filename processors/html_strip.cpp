#include "processors/builtin.h"
#include "processors/html/stripper.h"
#include "processors/string_processor.h"

namespace penstock::processors {

using document::Arena;
using document::Result;
using document::Value;

namespace {

Result<Value> strip_html(std::string_view text, Arena& arena) {
    // As the reference: without both there is no tag, and then character references stay too.
    if (text.find('<') == std::string_view::npos || text.find('>') == std::string_view::npos) {
        return Value::string(text);
    }
    std::string stripped;
    html::strip(text, stripped);
    return Value::string(stripped, arena);
}

}  // namespace

pipeline::ProcessorSpec html_strip() {
    return {
        .name = "html_strip",
        .summary = "Removes HTML markup from text.",
        .description =
            "As Lucene's `HTMLStripCharFilter`: each tag of a block (and `br`) becomes a line "
            "feed, inline tags and "
            "comments vanish, scripts and styles become one line feed, character references become "
            "characters. Text "
            "without `<` and `>` is left as it is. A list is changed element by element.",
        .options = string_processor_options(),
        .examples = {{"{field: body}", R"({"body":"<p>a <b>bold</b> word &amp; more</p>"})",
                      R"({"body":"\na bold word & more\n"})"}},
        .compile =
            [](const pipeline::Config& config) {
                return make_string_processor(config, strip_html);
            },
    };
}

}  // namespace penstock::processors
