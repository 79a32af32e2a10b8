#include "processors/builtin.h"

namespace penstock::processors {

pipeline::ProcessorSpec foreach () {
    return {
        .name = "foreach",
        .summary = "Runs a processor for every element of a list or object.",
        .description =
            "The element is `_ingest._value` while the processor runs, and for an object its name "
            "is `_ingest._key`; "
            "the rest of the document can be read and changed too. What `_ingest._value` is "
            "afterwards replaces the "
            "element; a changed `_ingest._key` renames it.\n\n"
            "A failing element stops the loop and is the failure of this step: the field then "
            "keeps its old elements, "
            "except for objects and lists that the processor changed inside, as in Elasticsearch. "
            "An `on_failure` of "
            "the inner processor handles an element's failure and lets the loop go on; "
            "`ignore_failure` on the inner "
            "processor does too. For several processors an element, nest a `pipeline` processor.",
        .options = {pipeline::field_option("The list or object."),
                    {.name = "processor",
                     .type = pipeline::OptionType::processor,
                     .doc = "The processor to run, as in a pipeline's list.",
                     .required = true},
                    pipeline::ignore_missing_option()},
        .examples =
            {{.options = "{field: tags, processor: {uppercase: {field: _ingest._value}}}",
              .in = R"({"tags":["a","b"]})",
              .out = R"({"tags":["A","B"]})"},
             {.options = "{field: people, processor: {remove: {field: _ingest._value.id}}}",
              .in = R"({"people":[{"id":1,"name":"Ada"},{"id":2,"name":"Alan"}]})",
              .out = R"({"people":[{"name":"Ada"},{"name":"Alan"}]})",
              .title = "In a list of objects"},
             {.options =
                  R"({field: m, processor: {set: {field: _ingest._key, value: "{{_ingest._key}}_ms"}}})",
              .in = R"({"m":{"read":1,"write":2}})",
              .out = R"({"m":{"read_ms":1,"write_ms":2}})",
              .title = "Renaming the members of an object"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return pipeline::ForeachElement{.field = config.path("field"),
                                            .ignore_missing = config.flag("ignore_missing"),
                                            .body = config.nested("processor")};
        },
        .keeps_partial_changes = true,
    };
}

}  // namespace penstock::processors
