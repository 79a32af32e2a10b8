#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

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

bool is_expandable(std::string_view key) {
    std::size_t dot = key.find('.');
    return dot != std::string_view::npos && dot > 0;
}

Value without(const Object& object, const std::vector<std::string_view>& keys, Arena& arena) {
    auto* copy = arena.make<Object>();
    copy->reserve(object.size(), arena);
    for (const Member& member : object) {
        if (std::find(keys.begin(), keys.end(), member.key()) != keys.end()) continue;
        copy->push_back(member.name(), member.value, arena);
    }
    return Value::object(copy);
}

/// Where one dotted key goes.
struct Target {
    FieldPath path;
    std::vector<FieldPath> parents;  ///< outermost first
};

Result<Target> target_of(const std::string& text) {
    Result<FieldPath> path = FieldPath::parse(text);
    if (!path) return path.error();
    Target target{std::move(*path), {}};
    for (std::size_t dot = text.find('.'); dot != std::string::npos;
         dot = text.find('.', dot + 1)) {
        Result<FieldPath> parent = FieldPath::parse(text.substr(0, dot));
        if (!parent) break;
        target.parents.push_back(std::move(*parent));
    }
    return target;
}

class DotExpander final : public pipeline::Processor {
  public:
    DotExpander(std::string field, std::optional<FieldPath> parent, bool override_existing)
        : field_(std::move(field)), parent_(std::move(parent)), override_(override_existing) {
        if (field_ != "*") target_ = target_of(nested(field_));
    }

    Outcome run(Document& document) const override {
        Result<Value> parent = parent_object(document);
        if (!parent) return parent.error();
        const Object& object = parent->as_object();
        std::vector<Member> members;
        if (field_ != "*") {
            std::size_t at = object.find(field_);
            if (at != Object::npos) members.push_back(object[at]);
        } else {
            std::copy_if(object.begin(), object.end(), std::back_inserter(members),
                         [](const Member& member) { return is_expandable(member.key()); });
        }
        if (members.empty()) return Outcome::ok();
        if (Outcome taken = take_out(document, object, members); !taken.is_ok()) return taken;
        for (const Member& member : members) {
            if (Outcome put = expand(document, member.key(), member.value); !put.is_ok())
                return put;
        }
        return Outcome::ok();
    }

  private:
    Result<Value> parent_object(Document& document) const {
        if (!parent_) return document.source();
        const Value* found = document.find(*parent_);
        if (found == nullptr) return document.get(*parent_).error();
        if (found->is_object()) return *found;
        if (found->is_null())
            return document::failure("field [" + parent_->text() + "] is null, cannot expand.");
        return document::failure("field [" + parent_->text() + "] of type [" +
                                 std::string(document::java_type_name(*found)) +
                                 "] cannot be cast to [java.util.Map]");
    }

    /// A dotted key is no path, so the object is replaced by one without it; the old one is kept
    /// for undo.
    Outcome take_out(Document& document, const Object& object,
                     const std::vector<Member>& members) const {
        std::vector<std::string_view> keys;
        keys.reserve(members.size());
        for (const Member& member : members)
            keys.push_back(member.key());
        Value rest = without(object, keys, document.arena());
        if (parent_) return document.set(*parent_, rest);
        document.set_source(rest);
        return Outcome::ok();
    }

    std::string nested(std::string_view key) const {
        return parent_ ? parent_->text() + "." + std::string(key) : std::string(key);
    }

    Outcome expand(Document& document, std::string_view key, Value value) const {
        if (target_) return put(document, *target_, value);
        return put(document, target_of(nested(key)), value);
    }

    Outcome put(Document& document, const Result<Target>& target, Value value) const {
        if (!target) return target.error();
        if (document.has(target->path)) {
            return override_ ? document.set(target->path, value)
                             : document.append(target->path, value);
        }
        if (Outcome room = check_parents(document, *target); !room.is_ok()) return room;
        return document.set(target->path, value);
    }

    /// Document::set would fail too, but not say so well.
    static Outcome check_parents(const Document& document, const Target& target) {
        for (const FieldPath& parent : target.parents) {
            const Value* found = document.find(parent);
            if (found == nullptr) break;
            if (found->is_object()) continue;
            return document::failure("cannot expand [" + target.path.text() + "], because [" +
                                     parent.text() + "] is not an object field, but a value field");
        }
        return Outcome::ok();
    }

    std::string field_;
    std::optional<FieldPath> parent_;
    bool override_;
    std::optional<Result<Target>> target_;  ///< of the field, when it is one
};

/// Elasticsearch's texts; empty when the name is good.
std::string_view mistake_in(std::string_view field) {
    if (field == "*") return "";
    if (field.find('.') == std::string_view::npos)
        return "field does not contain a dot and is not a wildcard";
    if (field.front() == '.' || field.back() == '.') return "Field can't start or end with a dot";
    if (field.find("..") != std::string_view::npos) return "No space between dots";
    return "";
}

pipeline::StepBody compile(const pipeline::Config& config) {
    const std::string& field = config.string("field");
    if (std::string_view mistake = mistake_in(field); !mistake.empty()) {
        config.error("field", "[field] " + std::string(mistake));
    }
    std::optional<FieldPath> parent;
    if (config.has("path")) parent = config.path("path");
    return std::make_unique<DotExpander>(field, std::move(parent), config.flag("override"));
}

}  // namespace

pipeline::ProcessorSpec dot_expander() {
    return {
        .name = "dot_expander",
        .summary = "Turns a field whose name has dots into nested objects.",
        .description =
            "Other processors take dots in a path for nesting and cannot reach a field whose name "
            "has dots. When the "
            "nested field exists already, the value is appended to it, unless `override` is true.",
        .options = {pipeline::string_option(
                        "field",
                        "The dotted field name, or `*` for all that are directly below `path`.",
                        true),
                    {.name = "path",
                     .type = pipeline::OptionType::field,
                     .doc = "The object that has the field; without it, the document."},
                    pipeline::flag_option("override",
                                          "Replace a nested field that is there already.", false)},
        .examples =
            {{"{field: a.b}", R"({"a.b":1,"a":{"c":2}})", R"({"a":{"c":2,"b":1}})"},
             {"{field: \"*\", path: x}", R"({"x":{"a.b":1,"c.d":2}})",
              R"({"x":{"a":{"b":1},"c":{"d":2}}})", "", "All dotted fields of an object"},
             {"{field: a.b}", R"({"a.b":1,"a":2})", "",
              "cannot expand [a.b], because [a] is not an object field, but a value field"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
