#include <utility>

#include "processors/builtin.h"
#include "processors/media_type.h"

namespace penstock::processors {

using document::Array;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

bool is_empty(Value value) {
    return value.is_null() || (value.is_string() && value.as_string().empty());
}

struct Options {
    bool allow_duplicates;
    bool ignore_empty;
};

/// What the two forms share: which field, and which values are left out.
class Append : public pipeline::Processor {
  public:
    Append(script::FieldTemplate field, Options options)
        : field_(std::move(field)), options_(options) {}

  protected:
    Outcome append(Document& document, Value value) const {
        FieldPath scratch;
        auto field = field_.resolve(document, scratch);
        if (!field) return field.error();
        if (options_.ignore_empty) value = without_empty(value, document.arena());
        // Nothing to append makes no empty list.
        if (value.is_array() && value.as_array().empty()) return Outcome::ok();
        return document.append(**field, value, options_.allow_duplicates);
    }
    bool ignores_empty() const { return options_.ignore_empty; }

  private:
    static Value without_empty(Value value, document::Arena& arena) {
        auto* kept = arena.make<Array>();
        if (!value.is_array()) return is_empty(value) ? Value::array(kept) : value;
        for (Value item : value.as_array()) {
            if (!is_empty(item)) kept->push_back(item, arena);
        }
        return Value::array(kept);
    }

    script::FieldTemplate field_;
    Options options_;
};

class AppendValue final : public Append {
  public:
    AppendValue(script::FieldTemplate field, Options options, script::ValueTemplate value)
        : Append(std::move(field), options), value_(std::move(value)) {}

    Outcome run(Document& document) const override {
        return append(document, value_.resolve(document));
    }

  private:
    script::ValueTemplate value_;
};

class AppendCopy final : public Append {
  public:
    AppendCopy(script::FieldTemplate field, Options options, FieldPath from)
        : Append(std::move(field), options), from_(std::move(from)) {}

    Outcome run(Document& document) const override {
        const Value* from = document.find(from_);
        if (from == nullptr)
            return ignores_empty() ? Outcome::ok() : Outcome(document.get(from_).error());
        return append(document, document::clone(*from, document.arena()));
    }

  private:
    FieldPath from_;
};

}  // namespace

pipeline::ProcessorSpec append() {
    return {
        .name = "append",
        .summary = "Adds one or more values to the end of a list.",
        .description =
            "A field that is no list yet becomes one with its value first; a missing field becomes "
            "a new list. A list "
            "of values is added element by element. When nothing remains to be added (an empty "
            "list, or duplicates and "
            "empty values that are left out) the document stays as it is.",
        .options = {pipeline::field_option("The list.", true),
                    {.name = "value",
                     .type = pipeline::OptionType::any,
                     .doc = "The value, or a list of values.",
                     .templated = true},
                    {.name = "copy_from",
                     .type = pipeline::OptionType::field,
                     .doc = "The field whose value or values to add. Not together with `value`."},
                    pipeline::flag_option("allow_duplicates",
                                          "Add values that are in the list already.", true),
                    pipeline::flag_option(
                        "ignore_empty_values",
                        "Leave out null and empty strings, and do nothing when `copy_from` is "
                        "missing.",
                        false),
                    media_type_option()},
        .examples = {{.options = R"({field: tags, value: [production, "{{env}}"]})",
                      .in = R"({"tags":"web","env":"eu"})",
                      .out = R"({"tags":["web","production","eu"],"env":"eu"})"},
                     {.options = "{field: tags, value: [b, c], allow_duplicates: false}",
                      .in = R"({"tags":["a","b"]})",
                      .out = R"({"tags":["a","b","c"]})",
                      .title = "As a set"},
                     {.options = "{field: related.ip, copy_from: source.ip}",
                      .in = R"({"source":{"ip":"10.0.0.1"}})",
                      .out = R"({"source":{"ip":"10.0.0.1"},"related":{"ip":["10.0.0.1"]}})"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            Options options{config.flag("allow_duplicates"), config.flag("ignore_empty_values")};
            if (config.has("copy_from")) {
                return std::make_unique<AppendCopy>(config.field("field"), options,
                                                    config.path("copy_from"));
            }
            return std::make_unique<AppendValue>(config.field("field"), options,
                                                 config.value("value", media_type(config)));
        },
        .exactly_one_of = {{"value", "copy_from"}},
    };
}

}  // namespace penstock::processors
