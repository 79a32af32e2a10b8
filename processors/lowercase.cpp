#include "processors/builtin.h"
#include "processors/case_mapping.h"
#include "processors/string_processor.h"

namespace penstock::processors {

pipeline::ProcessorSpec lowercase() {
    return {
        .name = "lowercase",
        .summary = "Turns a string, or every string of a list, to lower case.",
        .description =
            "Full Unicode mapping without regard to a language, as Java's "
            "`toLowerCase(Locale.ROOT)`.",
        .options = string_processor_options(),
        .examples = {{.options = "{field: method}",
                      .in = R"({"method":"GET"})",
                      .out = R"({"method":"get"})"},
                     {.options = "{field: name, target_field: key}",
                      .in = R"({"name":["ÉCOLE","ΟΔΟΣ"]})",
                      .out = R"({"name":["ÉCOLE","ΟΔΟΣ"],"key":["école","οδος"]})",
                      .title = "Into another field, a whole list"},
                     {.options = "{field: method}",
                      .in = R"({"method":1})",
                      .fails = "field [method] of type [java.lang.Integer] cannot be cast to "
                               "[java.lang.String]"}},
        .compile =
            [](const pipeline::Config& config) {
                return make_case_processor(config, LetterCase::lower);
            },
    };
}

}  // namespace penstock::processors
