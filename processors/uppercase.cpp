#include "processors/builtin.h"
#include "processors/case_mapping.h"
#include "processors/string_processor.h"

namespace penstock::processors {

pipeline::ProcessorSpec uppercase() {
    return {
        .name = "uppercase",
        .summary = "Turns a string, or every string of a list, to upper case.",
        .description =
            "Full Unicode mapping without regard to a language, as Java's "
            "`toUpperCase(Locale.ROOT)`: `ß` "
            "becomes `SS`.",
        .options = string_processor_options(),
        .examples = {{.options = "{field: code}",
                      .in = R"({"code":"de"})",
                      .out = R"({"code":"DE"})"},
                     {.options = "{field: street, target_field: sign}",
                      .in = R"({"street":"Hauptstraße"})",
                      .out = R"({"street":"Hauptstraße","sign":"HAUPTSTRASSE"})"},
                     {.options = "{field: code, ignore_missing: true}",
                      .in = R"({"other":1})",
                      .out = R"({"other":1})",
                      .title = "Documents without the field pass"}},
        .compile =
            [](const pipeline::Config& config) {
                return make_case_processor(config, LetterCase::upper);
            },
    };
}

}  // namespace penstock::processors
