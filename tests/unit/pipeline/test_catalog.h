// Processors of the tests: options of every type, modelled on rename, set and foreach.
#pragma once

#include "engine/pipeline/pipeline.h"
#include "engine/pipeline/spec.h"

namespace penstock::pipeline::test {

/// Does nothing: these tests end where running begins.
class Idle final : public Processor {
  public:
    document::Outcome run(document::Document&) const override { return {}; }
};

inline ProcessorSpec rename_spec() {
    return {.name = "rename",
            .summary = "Moves a field to a new name.",
            .options = {field_option("Field to move."),
                        {.name = "target_field",
                         .type = OptionType::field,
                         .doc = "Its new name.",
                         .required = true},
                        ignore_missing_option()},
            .examples = {{.options = "{field: host, target_field: host_name}",
                          .in = R"({"host":"a|b"})",
                          .out = R"({"host_name":"a|b"})",
                          .title = "Moves the value as it is."},
                         {.options = "{field: host, target_field: b}",
                          .in = "{}",
                          .fails = "field [host] is absent"}},
            .compile = [](const Config& config) -> StepBody {
                config.path("field");
                config.path("target_field");
                return std::make_unique<Idle>();
            }};
}

inline ProcessorSpec set_spec() {
    return {.name = "set",
            .summary = "Writes a field.",
            .description =
                "Any value.\n\n- first item of a list that is rather long, so that it has to be "
                "wrapped somewhere\n"
                "- second\n\n```yaml\n- set: {field: a,   value: 1}\n```\nEnd.",
            .options =
                {field_option("Field to write.", true),
                 {.name = "value", .type = OptionType::any, .doc = "Its value.", .templated = true},
                 {.name = "copy_from", .type = OptionType::field, .doc = "Field to copy."},
                 flag_option("override", "Replace what is there.", true)},
            .compile = [](const Config& config) -> StepBody {
                config.field("field");
                config.value("value");
                return std::make_unique<Idle>();
            },
            .exactly_one_of = {{"value", "copy_from"}}};
}

inline ProcessorSpec foreach_spec() {
    return {.name = "foreach",
            .summary = "Runs a processor for each element.",
            .options = {field_option("List or object."),
                        {.name = "processor",
                         .type = OptionType::processor,
                         .doc = "What to run.",
                         .required = true}},
            .compile = [](const Config& config) -> StepBody {
                return ForeachElement{config.path("field"), false, config.nested("processor")};
            }};
}

/// One option of each remaining type.
inline ProcessorSpec chunk_spec() {
    return {
        .name = "chunk",
        .summary = "Cuts a text into pieces.",
        .options =
            {field_option("Field with the text."),
             target_field_option(),
             {.name = "strategy",
              .type = OptionType::enumeration,
              .doc = "Where to cut.",
              .default_value = "word",
              .values = {"word", "sentence"}},
             {.name = "size",
              .type = OptionType::integer,
              .doc = "Most words.",
              .default_value = "250",
              .minimum = 1,
              .maximum = 10000,
              .aliases = {"max_size"}},
             {.name = "overlap", .type = OptionType::integer, .doc = "Common words.", .minimum = 0},
             {.name = "ratio",
              .type = OptionType::number,
              .doc = "A share.",
              .default_value = "0.5",
              .maximum = 1},
             {.name = "separators",
              .type = OptionType::strings,
              .doc = "Where to cut.",
              .templated = true},
             {.name = "pattern", .type = OptionType::regex, .doc = "What to cut."},
             {.name = "settings", .type = OptionType::object, .doc = "Anything."},
             {.name = "steps", .type = OptionType::list, .doc = "Anything.", .since = "0.2.0"},
             string_option("words", "First choice."),
             string_option("characters", "Second choice."),
             string_option("tokens", "Third choice.")},
        .compile = [](const Config&) -> StepBody { return std::make_unique<Idle>(); },
        .at_most_one_of = {{"words", "characters", "tokens"}}};
}

inline Catalog catalog() {
    Catalog catalog;
    catalog.add(rename_spec());
    catalog.add(set_spec());
    catalog.add(foreach_spec());
    catalog.add(chunk_spec());
    return catalog;
}

/// Everything wrong with a pipeline file: parsed, and compiled when that is possible.
inline Diagnostics check(std::string_view text, const std::string& file,
                         const DefinitionLimits& limits = {}) {
    Diagnostics diagnostics;
    auto definition = parse_definition(text, file, "test", diagnostics, limits);
    std::vector<PipelineDefinition> definitions;
    if (definition) definitions.push_back(std::move(*definition));
    PipelineSet::compile(std::move(definitions), catalog(), diagnostics);
    return diagnostics;
}

}  // namespace penstock::pipeline::test
