#include "processors/string_processor.h"

#include <utility>

#include "processors/read_field.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Result;
using document::Value;

namespace {

class StringProcessor final : public pipeline::Processor {
  public:
    StringProcessor(FieldPath field, FieldPath target, bool ignore_missing, TextTransform transform)
        : field_(std::move(field)),
          target_(std::move(target)),
          ignore_missing_(ignore_missing),
          in_place_(field_.text() == target_.text()),
          transform_(std::move(transform)) {}

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found != nullptr && found->is_array()) return each(document, found->as_array());
        auto text = read_text(document, field_, found, ignore_missing_);
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        auto result = transform_(**text, document.arena());
        if (!result) return result.error();
        if (in_place_ && is_same(**text, *result)) return Outcome::ok();
        return document.set(target_, *result);
    }

  private:
    Outcome each(Document& document, const document::Array& items) const {
        Arena& arena = document.arena();
        auto* list = arena.make<document::Array>();
        list->reserve(items.size(), arena);
        for (Value item : items) {
            if (!item.is_string()) return not_a_string(item);
            auto result = transform_(item.as_string(), arena);
            if (!result) return result.error();
            list->push_back(*result, arena);
        }
        return document.set(target_, Value::array(list));
    }

    Outcome not_a_string(Value item) const {
        std::string text;
        document::append_java_string(item, text);
        return document::failure("value [" + text + "] of type [" +
                                 std::string(document::java_type_name(item)) + "] in list field [" +
                                 field_.text() + "] cannot be cast to [java.lang.String]");
    }

    /// The transform handed its input back: nothing to write.
    static bool is_same(std::string_view before, Value after) {
        return after.is_string() && after.as_string().data() == before.data() &&
               after.as_string().size() == before.size();
    }

    FieldPath field_, target_;
    bool ignore_missing_;
    bool in_place_;
    TextTransform transform_;
};

}  // namespace

std::vector<pipeline::OptionSpec> string_processor_options(
    std::vector<pipeline::OptionSpec> others) {
    std::vector<pipeline::OptionSpec> options = {
        pipeline::field_option("The string, or list of strings, to change."),
        pipeline::target_field_option(),
        pipeline::ignore_missing_option(),
    };
    for (auto& other : others)
        options.push_back(std::move(other));
    return options;
}

pipeline::StepBody make_string_processor(const pipeline::Config& config, TextTransform transform) {
    return std::make_unique<StringProcessor>(config.path("field"),
                                             config.path_or("target_field", config.string("field")),
                                             config.flag("ignore_missing"), std::move(transform));
}

}  // namespace penstock::processors
