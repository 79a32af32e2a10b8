#include "engine/script/template.h"

#include <optional>
#include <utility>

#include "engine/runtime/error.h"
#include "engine/script/mustache.h"

namespace penstock::script {

using document::Document;
using document::Key;
using document::Value;
using mustache::Code;
using mustache::render_value;

struct Template::Program {
    Code code;
    bool constant = true;
};

Template::Template() : program_(std::make_unique<const Program>()) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::compile(std::string_view text, MediaType media_type) {
    Template result;
    result.program_ = std::make_unique<const Program>(
        Program{mustache::compile(text, media_type), !has_tags(text)});
    return result;
}

bool Template::is_constant() const {
    return program_->constant;
}

const std::string& Template::text() const {
    return program_->code.source;
}

void Template::render(const Document& document, std::string& out) const {
    mustache::render(program_->code, document, out);
}

// ---- ValueTemplate

namespace {

/// A value in which some strings are templates, member names too.
struct Part {
    struct Entry;

    Value constant;  // unless it is a template, a list or an object
    std::optional<Code> code;
    std::vector<Part> items;     // of a list
    std::vector<Entry> entries;  // of an object
};

struct Part::Entry {
    Key key;
    std::optional<Code> key_code;
    Part part;
};

std::optional<Code> compile_text(std::string_view text, MediaType media_type) {
    if (!Template::has_tags(text)) return std::nullopt;
    return mustache::compile(text, media_type);
}

/// `constant` becomes false when a template is found. Recursion follows the depth of the
/// definition, which is limited.
Part compile_part(Value value, MediaType media_type, bool& constant) {
    Part part;
    part.constant = value;
    if (value.is_string()) part.code = compile_text(value.as_string(), media_type);
    if (part.code) constant = false;
    if (value.is_array()) {
        for (Value item : value.as_array())
            part.items.push_back(compile_part(item, media_type, constant));
    }
    if (value.is_object()) {
        for (const document::Member& member : value.as_object()) {
            Part::Entry entry{Key(member.key()), compile_text(member.key(), media_type),
                              compile_part(member.value, media_type, constant)};
            if (entry.key_code) constant = false;
            part.entries.push_back(std::move(entry));
        }
    }
    return part;
}

Value resolve_part(const Part& part, Document& document) {
    document::Arena& arena = document.arena();
    if (part.code) return render_value(*part.code, document);
    if (part.constant.is_array()) {
        auto* list = arena.make<document::Array>();
        list->reserve(part.items.size(), arena);
        for (const Part& item : part.items)
            list->push_back(resolve_part(item, document), arena);
        return Value::array(list);
    }
    if (part.constant.is_object()) {
        auto* object = arena.make<document::Object>();
        object->reserve(part.entries.size(), arena);
        for (const Part::Entry& entry : part.entries) {
            Key key = entry.key_code ? Key(render_value(*entry.key_code, document).as_string())
                                     : entry.key;
            object->set(key, resolve_part(entry.part, document), arena);
        }
        return Value::object(object);
    }
    return part.constant;
}

}  // namespace

struct ValueTemplate::Program {
    document::Arena arena;  // of the constants
    Part part;
    bool constant = true;
};

ValueTemplate::ValueTemplate() = default;
ValueTemplate::~ValueTemplate() = default;
ValueTemplate::ValueTemplate(ValueTemplate&&) noexcept = default;
ValueTemplate& ValueTemplate::operator=(ValueTemplate&&) noexcept = default;

ValueTemplate ValueTemplate::compile(Value value, MediaType media_type) {
    auto program = std::make_unique<Program>();
    Value copy = document::clone(value, program->arena);
    program->part = compile_part(copy, media_type, program->constant);
    ValueTemplate result;
    result.program_ = std::move(program);
    return result;
}

bool ValueTemplate::is_constant() const {
    return program_ == nullptr || program_->constant;
}

Value ValueTemplate::resolve(Document& document) const {
    return program_ == nullptr ? Value::null() : resolve_part(program_->part, document);
}

// ---- FieldTemplate

FieldTemplate::FieldTemplate() = default;
FieldTemplate::~FieldTemplate() = default;
FieldTemplate::FieldTemplate(FieldTemplate&&) noexcept = default;
FieldTemplate& FieldTemplate::operator=(FieldTemplate&&) noexcept = default;

FieldTemplate FieldTemplate::compile(std::string_view text, document::AccessPattern access) {
    FieldTemplate result;
    result.text_ = text;
    result.access_ = access;
    if (Template::has_tags(text)) {
        result.template_ = std::make_unique<const Template>(Template::compile(text));
        return result;
    }
    auto path = document::FieldPath::parse(text, access);
    if (!path) throw Error(path.error().reason);
    result.path_ = std::move(*path);
    return result;
}

document::Result<const document::FieldPath*> FieldTemplate::resolve(
    const Document& document, document::FieldPath& scratch) const {
    if (is_constant()) return &path_;
    std::string text;
    template_->render(document, text);
    auto path = document::FieldPath::parse(text, access_);
    if (!path) return path.error();
    scratch = std::move(*path);
    return const_cast<const document::FieldPath*>(&scratch);
}

}  // namespace penstock::script
