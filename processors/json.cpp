#include "engine/document/json.h"

#include <algorithm>
#include <optional>

#include "processors/builtin.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Member;
using document::Object;
using document::Outcome;
using document::Result;
using document::Value;

namespace {

bool is_json_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

document::JsonParser& parser_of_thread() {
    // Its buffers are worth keeping, and a processor has no state of its own.
    thread_local document::JsonParser parser;
    return parser;
}

Object* shallow_copy(const Object& object, std::size_t more, Arena& arena) {
    auto* copy = arena.make<Object>();
    copy->reserve(object.size() + more, arena);
    for (const Member& member : object)
        copy->push_back(member.name(), member.value, arena);
    return copy;
}

/// `from` over `into`, object by object. Neither is changed: what was in a document stays undoable.
Value merged(Value into, Value from, Arena& arena) {
    if (!into.is_object() || !from.is_object()) return from;
    Object* result = shallow_copy(into.as_object(), from.as_object().size(), arena);
    for (const Member& member : from.as_object()) {
        const Value* there = result->get(member.name());
        Value value = there == nullptr ? member.value : merged(*there, member.value, arena);
        result->set(member.name(), value, arena);
    }
    return Value::object(result);
}

struct Options {
    bool add_to_root = false;
    bool merge = false;
    bool allow_duplicate_keys = false;
    bool strict = true;
};

class Json final : public pipeline::Processor {
  public:
    Json(FieldPath field, FieldPath target, Options options)
        : field_(std::move(field)), target_(std::move(target)), options_(options) {}

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found == nullptr) return document.get(field_).error();
        Result<Value> parsed = parse(*found, document.arena());
        if (!parsed) return parsed.error();
        if (!options_.add_to_root) return document.set(target_, *parsed);
        if (!parsed->is_object())
            return document::failure("cannot add non-map fields to root of document");
        return add_to_root(document, parsed->as_object());
    }

  private:
    Result<Value> parse(Value value, Arena& arena) const {
        std::string_view text;
        if (value.is_string()) {
            text = value.as_string();
        } else {
            std::string buffer;
            document::append_java_string(value, buffer);
            text = arena.copy(buffer);
        }
        if (std::all_of(text.begin(), text.end(), is_json_space))
            return Value::null();  // as the reference
        // The text stays in the arena for as long as the document: strings may point into it.
        document::JsonOptions how{.allow_duplicate_keys = options_.allow_duplicate_keys,
                                  .allow_trailing = true,
                                  .borrow_text = true};
        Value parsed;
        document::JsonError error;
        std::size_t consumed = 0;
        if (!parser_of_thread().parse(text, arena, parsed, error, how, &consumed)) {
            return document::failure("field [" + field_.text() +
                                     "] is not valid JSON: " + error.text());
        }
        std::string_view rest = text.substr(consumed);
        bool clean = std::all_of(rest.begin(), rest.end(), is_json_space);
        if (!clean && options_.strict) {
            return document::failure(
                "The input " + std::string(text) +
                " is not valid JSON and the strict_json_parsing parameter is true");
        }
        if (!clean && parsed.is_number() && !is_json_space(text[consumed - 1]) &&
            !is_json_space(rest[0])) {
            return document::failure("field [" + field_.text() +
                                     "] is not valid JSON: a number needs a blank behind it");
        }
        return parsed;
    }

    Outcome add_to_root(Document& document, const Object& members) const {
        Arena& arena = document.arena();
        // Keys are members as they stand, dots or not, so they are no paths; a new root keeps the
        // old one for undo.
        Object* root = shallow_copy(document.source().as_object(), members.size(), arena);
        for (const Member& member : members) {
            if (document::meta_named(member.key())) {
                // By its path, which checks what a metadata field may hold.
                Outcome put = document.set(*FieldPath::parse(member.key()), member.value);
                if (!put.is_ok()) return put;
                continue;
            }
            const Value* there = options_.merge ? root->get(member.name()) : nullptr;
            root->set(member.name(),
                      there == nullptr ? member.value : merged(*there, member.value, arena), arena);
        }
        document.set_source(Value::object(root));
        return Outcome::ok();
    }

    FieldPath field_, target_;
    Options options_;
};

pipeline::StepBody compile(const pipeline::Config& config) {
    Options options{.add_to_root = config.flag("add_to_root"),
                    .merge = config.string("add_to_root_conflict_strategy") == "merge",
                    .allow_duplicate_keys = config.flag("allow_duplicate_keys"),
                    .strict = config.flag("strict_json_parsing")};
    if (options.add_to_root && config.has("target_field")) {
        config.error("target_field",
                     "Cannot set a target field while also setting `add_to_root` to true");
    }
    if (!options.add_to_root && config.has("add_to_root_conflict_strategy")) {
        config.error("add_to_root_conflict_strategy",
                     "Cannot set `add_to_root_conflict_strategy` if `add_to_root` is false");
    }
    return std::make_unique<Json>(config.path("field"),
                                  config.path_or("target_field", config.string("field")), options);
}

}  // namespace

pipeline::ProcessorSpec json() {
    return {
        .name = "json",
        .summary = "Parses a string that holds JSON.",
        .description =
            "What is not a string is written as text first, so that numbers and booleans stay what "
            "they are. An empty "
            "string becomes null. With `add_to_root` the members of the parsed object become "
            "fields of the document; "
            "`_id` and its kin are metadata there, and a key with dots stays one key.",
        .options = {pipeline::field_option("The field to parse."),
                    pipeline::target_field_option(),
                    pipeline::flag_option(
                        "add_to_root",
                        "Put the parsed object's members at the top of the document. Not together "
                        "with target_field.",
                        false),
                    {.name = "add_to_root_conflict_strategy",
                     .type = pipeline::OptionType::enumeration,
                     .doc = "What happens to a field that is there already: replaced, or merged "
                            "with the parsed object "
                            "when both are objects. With add_to_root only.",
                     .default_value = "replace",
                     .values = {"replace", "merge"}},
                    pipeline::flag_option(
                        "allow_duplicate_keys",
                        "Take the last of several members with the same key instead of failing.",
                        false),
                    pipeline::flag_option(
                        "strict_json_parsing",
                        "Fail when anything follows the JSON value; otherwise it is ignored.",
                        true)},
        .examples =
            {{"{field: raw, target_field: parsed}", R"({"raw":"{\"a\":[1,2.5]}"})",
              R"({"raw":"{\"a\":[1,2.5]}","parsed":{"a":[1,2.5]}})"},
             {"{field: raw, add_to_root: true, add_to_root_conflict_strategy: merge}",
              R"({"raw":"{\"host\":{\"ip\":\"::1\"}}","host":{"name":"a"}})",
              R"({"raw":"{\"host\":{\"ip\":\"::1\"}}","host":{"name":"a","ip":"::1"}})", "",
              "Members at the top, merged with what is there"},
             {"{field: raw}", R"({"raw":"1 2"})", "",
              "The input 1 2 is not valid JSON and the strict_json_parsing parameter is true"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
