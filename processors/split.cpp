#include "engine/runtime/error.h"
#include "engine/text/regex/replacement.h"
#include "processors/builtin.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;
using text::regex::Pattern;

namespace {

class Split final : public pipeline::Processor {
  public:
    Split(FieldPath field, FieldPath target, Pattern separator, bool preserve_trailing,
          bool ignore_missing)
        : field_(std::move(field)),
          target_(std::move(target)),
          separator_(std::move(separator)),
          preserve_trailing_(preserve_trailing),
          ignore_missing_(ignore_missing) {}

    Outcome run(Document& document) const override {
        auto text = read_text(document, field_, ignore_missing_, "split");
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        auto pieces = text::regex::split(separator_, **text, preserve_trailing_);
        if (!pieces) return pieces.error();
        auto* list = document.arena().make<document::Array>();
        list->reserve(pieces->size(), document.arena());
        // Parts of the field's own text, which stays where it is.
        for (std::string_view piece : *pieces)
            list->push_back(Value::string(piece), document.arena());
        return document.set(target_, Value::array(list));
    }

  private:
    FieldPath field_, target_;
    Pattern separator_;
    bool preserve_trailing_;
    bool ignore_missing_;
};

}  // namespace

pipeline::ProcessorSpec split() {
    return {
        .name = "split",
        .summary = "Splits a string at a separator into a list.",
        .description =
            "As Java's `String.split`: the separator is a regular expression, there is no empty "
            "element before a "
            "separator that is empty at the start, and text without a separator becomes a list of "
            "one.",
        .options = {pipeline::field_option("The string."),
                    {.name = "separator",
                     .type = pipeline::OptionType::regex,
                     .doc = "A regular expression; to split at a dot, write `\\.`.",
                     .required = true},
                    pipeline::flag_option("preserve_trailing", "Keep empty elements at the end.",
                                          false),
                    pipeline::target_field_option(),
                    pipeline::ignore_missing_option()},
        .examples = {{R"({field: ip, separator: "\\."})", R"({"ip":"127.0.0.1"})",
                      R"({"ip":["127","0","0","1"]})"},
                     {"{field: a, separator: \",\", preserve_trailing: true}", R"({"a":"x,,"})",
                      R"({"a":["x","",""]})", "",
                      "Empty elements at the end are dropped otherwise"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            try {
                return std::make_unique<Split>(
                    config.path("field"), config.path_or("target_field", config.string("field")),
                    Pattern::compile(config.string("separator")), config.flag("preserve_trailing"),
                    config.flag("ignore_missing"));
            } catch (const Error& error) {
                config.error("separator",
                             std::string("[separator] Invalid regex pattern. ") + error.what());
                return std::unique_ptr<pipeline::Processor>();
            }
        },
    };
}

}  // namespace penstock::processors
