#include <optional>
#include <utility>

#include "processors/builtin.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Outcome;

namespace {

class Rename final : public pipeline::Processor {
  public:
    Rename(script::FieldTemplate from, script::FieldTemplate to, bool ignore_missing,
           bool override_target)
        : from_(std::move(from)),
          to_(std::move(to)),
          ignore_missing_(ignore_missing),
          override_target_(override_target) {}

    Outcome run(Document& document) const override {
        FieldPath from_scratch;
        auto from = from_.resolve(document, from_scratch);
        if (!from) return ignore_missing_ ? Outcome::ok() : Outcome(from.error());
        if (!document.has(**from)) {
            if (is_out_of_bounds(document, **from)) return document.get(**from).error();
            if (ignore_missing_) return Outcome::ok();
        }
        FieldPath to_scratch;
        auto to = to_.resolve(document, to_scratch);
        if (!to) return to.error();
        // Before anything moves: `list.0` to `list.3` must be told the length that the user sees.
        if (!document.has(**to) && is_out_of_bounds(document, **to))
            return document.get(**to).error();
        return document.move(**from, **to, override_target_);
    }

  private:
    script::FieldTemplate from_, to_;
    bool ignore_missing_;
    bool override_target_;
};

}  // namespace

pipeline::ProcessorSpec rename() {
    return {
        .name = "rename",
        .summary = "Moves a field to a new name.",
        .description =
            "The value itself is not copied. Fails when the field is absent, and when the new name "
            "is taken "
            "unless `override` is set. Parents of the new name are made as needed.",
        .options = {pipeline::field_option("The field to move.", true),
                    {.name = "target_field",
                     .type = pipeline::OptionType::field,
                     .doc = "Its new name.",
                     .required = true,
                     .templated = true},
                    pipeline::ignore_missing_option(),
                    pipeline::flag_option("override", "Replace what is at the new name already.",
                                          false)},
        .examples = {{.options = "{field: host, target_field: host.name}",
                      .in = R"({"host":"db1"})",
                      .out = R"({"host":{"name":"db1"}})"},
                     {.options = "{field: a, target_field: b}",
                      .in = R"({"a":1,"b":2})",
                      .fails = "field [b] already exists",
                      .title = "Nothing is overwritten by accident"},
                     {.options = "{field: a, target_field: b, override: true}",
                      .in = R"({"a":1,"b":2})",
                      .out = R"({"b":1})"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return std::make_unique<Rename>(config.field("field"), config.field("target_field"),
                                            config.flag("ignore_missing"), config.flag("override"));
        },
    };
}

}  // namespace penstock::processors
