#include "processors/builtin.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

class Join final : public pipeline::Processor {
  public:
    Join(FieldPath field, FieldPath target, std::string separator)
        : field_(std::move(field)), target_(std::move(target)), separator_(std::move(separator)) {}

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found == nullptr) return document.get(field_).error();
        if (found->is_null())
            return document::failure("field [" + field_.text() + "] is null, cannot join.");
        if (!found->is_array()) {
            return document::failure("field [" + field_.text() + "] of type [" +
                                     std::string(document::java_type_name(*found)) +
                                     "] cannot be cast to [java.util.List]");
        }
        std::string joined;
        bool first = true;
        for (Value item : found->as_array()) {
            if (item.is_null()) {
                return document::failure("field [" + field_.text() +
                                         "] has an element that is null, cannot join.");
            }
            if (!first) joined += separator_;
            first = false;
            document::append_java_string(item, joined);
        }
        return document.set(target_, Value::string(joined, document.arena()));
    }

  private:
    FieldPath field_, target_;
    std::string separator_;
};

}  // namespace

pipeline::ProcessorSpec join() {
    return {
        .name = "join",
        .summary = "Joins the elements of a list to one string.",
        .description = "Numbers and booleans are written as text; an element that is null fails.",
        .options = {pipeline::field_option("The list."),
                    pipeline::string_option(
                        "separator", "What stands between the elements; may be empty.", true),
                    pipeline::target_field_option()},
        .examples =
            {{"{field: tags, separator: \"-\"}", R"({"tags":["a","b",3]})", R"({"tags":"a-b-3"})"},
             {"{field: tags, separator: \"-\"}", R"({"tags":"a"})", "",
              "field [tags] of type [java.lang.String] cannot be cast to [java.util.List]"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            return std::make_unique<Join>(config.path("field"),
                                          config.path_or("target_field", config.string("field")),
                                          config.string("separator"));
        },
    };
}

}  // namespace penstock::processors
