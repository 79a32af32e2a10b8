#include <optional>
#include <utility>

#include "processors/builtin.h"
#include "processors/media_type.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

bool is_empty(Value value) {
    return value.is_null() || (value.is_string() && value.as_string().empty());
}

struct Options {
    bool override_existing;
    bool ignore_empty;
};

/// What the two forms share: which field, and when it is left alone.
class Set : public pipeline::Processor {
  public:
    Set(script::FieldTemplate field, Options options)
        : field_(std::move(field)), options_(options) {}

    Outcome run(Document& document) const final {
        FieldPath scratch;
        auto field = field_.resolve(document, scratch);
        if (!field) return field.error();
        if (!options_.override_existing) {
            const Value* there = document.find(**field);
            if (there != nullptr && !there->is_null()) return Outcome::ok();
        }
        return write(document, **field);
    }

  protected:
    virtual Outcome write(Document& document, const FieldPath& field) const = 0;
    bool ignores_empty() const { return options_.ignore_empty; }

  private:
    script::FieldTemplate field_;
    Options options_;
};

class SetValue final : public Set {
  public:
    SetValue(script::FieldTemplate field, Options options, script::ValueTemplate value)
        : Set(std::move(field), options), value_(std::move(value)) {}

  private:
    Outcome write(Document& document, const FieldPath& field) const override {
        Value value = value_.resolve(document);
        // An empty constant was written by somebody who wants it: only what a template gave is
        // looked at.
        if (ignores_empty() && !value_.is_constant() && is_empty(value)) return Outcome::ok();
        return document.set(field, value);
    }

    script::ValueTemplate value_;
};

class SetCopy final : public Set {
  public:
    SetCopy(script::FieldTemplate field, Options options, FieldPath from)
        : Set(std::move(field), options), from_(std::move(from)) {}

  private:
    Outcome write(Document& document, const FieldPath& field) const override {
        const Value* from = document.find(from_);
        if (from == nullptr && !ignores_empty()) return document.get(from_).error();
        if (ignores_empty() && (from == nullptr || is_empty(*from))) return Outcome::ok();
        return document.set(field, copy(*from, document.arena()));
    }

    /// Both fields may be changed later, each on its own.
    static Value copy(Value value, document::Arena& arena) {
        return value.is_array() || value.is_object() ? document::clone(value, arena) : value;
    }

    FieldPath from_;
};

}  // namespace

pipeline::ProcessorSpec set() {
    return {
        .name = "set",
        .summary = "Writes a value, or a copy of another field, to a field.",
        .description =
            "Parents of the field are made as needed. Metadata (`_index`, `_id`, `_routing`, ...) "
            "can be set too. "
            "Templates may stand anywhere in `value`, in member names too, and always give text: "
            "`{{n}}` of the number 1 is \"1\". To keep the type, use `copy_from`.",
        .options =
            {pipeline::field_option("The field to write.", true),
             {.name = "value",
              .type = pipeline::OptionType::any,
              .doc = "The value.",
              .templated = true},
             {.name = "copy_from",
              .type = pipeline::OptionType::field,
              .doc = "The field to copy, of any type. Not together with `value`."},
             pipeline::flag_option(
                 "override", "Replace a value that is there; null counts as not there.", true),
             pipeline::flag_option(
                 "ignore_empty_value",
                 "Do nothing when the template gives an empty string, or when `copy_from` is "
                 "missing, null or an empty string.",
                 false),
             media_type_option()},
        .examples = {{.options = R"({field: event.id, value: "{{_index}}-{{n}}"})",
                      .in = R"({"_index":"logs","n":7})",
                      .out = R"({"_index":"logs","n":7,"event":{"id":"logs-7"}})"},
                     {.options = "{field: backup, copy_from: user}",
                      .in = R"({"user":{"id":1}})",
                      .out = R"({"user":{"id":1},"backup":{"id":1}})",
                      .title = "A copy keeps its type"},
                     {.options = "{field: level, value: info, override: false}",
                      .in = R"({"level":"warn"})",
                      .out = R"({"level":"warn"})",
                      .title = "A default"}},
        .compile = [](const pipeline::Config& config) -> pipeline::StepBody {
            Options options{config.flag("override"), config.flag("ignore_empty_value")};
            if (config.has("copy_from")) {
                return std::make_unique<SetCopy>(config.field("field"), options,
                                                 config.path("copy_from"));
            }
            return std::make_unique<SetValue>(config.field("field"), options,
                                              config.value("value", media_type(config)));
        },
        .exactly_one_of = {{"value", "copy_from"}},
    };
}

}  // namespace penstock::processors
