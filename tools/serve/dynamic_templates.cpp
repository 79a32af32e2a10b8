#include "tools/serve/dynamic_templates.h"

#include <unicode/regex.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "engine/document/json.h"
#include "engine/io/values.h"
#include "tools/serve/api_error.h"
#include "tools/serve/index_settings.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::Object;
using document::Value;

/// What lies deeper gets no mapping.
constexpr std::size_t kMaxPathBytes = 512;

ApiError mapping_error(const std::string& reason) {
    return {400, "mapper_parsing_exception", "Failed to parse mapping: " + reason};
}

std::string text_of(const JsonTree& object, std::string_view name) {
    const JsonTree* member = object.find(name);
    return member == nullptr || member->is_null() ? std::string() : member->content();
}

/// A text, or a list of them.
std::vector<std::string> texts_of(const JsonTree& object, std::string_view name) {
    const JsonTree* member = object.find(name);
    if (member == nullptr || member->is_null()) return {};
    document::Arena arena;
    Value value;
    document::JsonError error;
    const std::string json = member->json();
    document::JsonParser().parse(json, arena, value, error);
    std::vector<std::string> texts;
    const auto add = [&](Value one) { document::append_java_string(one, texts.emplace_back()); };
    if (!value.is_array()) {
        add(value);
    } else {
        for (const Value& one : value.as_array())
            add(one);
    }
    return texts;
}

bool any_fits(const std::vector<std::string>& patterns, std::string_view name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches_wildcard(pattern, name); });
}

bool has_type(const std::vector<std::string>& types, std::string_view type) {
    return std::any_of(types.begin(), types.end(),
                       [&](const std::string& one) { return one == "*" || one == type; });
}

/// The whole of the name, as Java's expressions match; one that cannot be read, or takes too long,
/// fits nothing.
bool fits_expression(const std::string& expression, std::string_view name) {
    constexpr std::int32_t kMostSteps = 1000;
    const auto text = [](std::string_view utf8) {
        return icu::UnicodeString::fromUTF8(
            icu::StringPiece(utf8.data(), static_cast<std::int32_t>(utf8.size())));
    };
    UErrorCode status = U_ZERO_ERROR;
    const icu::UnicodeString subject = text(name);
    icu::RegexMatcher matcher(text(expression), subject, 0, status);
    matcher.setTimeLimit(kMostSteps, status);
    return matcher.matches(status) != 0 && U_SUCCESS(status) != 0;
}

/// What a field without a template is mapped as.
std::string_view default_type(std::string_view type) {
    if (type == "string") return "text";
    return type == "double" ? "float" : type;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

/// The template's mapping for this field.
JsonTree mapping_for(const JsonTree& mapping, std::string_view field, std::string_view type) {
    std::string json = mapping.json();
    std::string quoted;
    document::write_json_string(field, quoted);
    replace_all(json, "{name}", std::string_view(quoted).substr(1, quoted.size() - 2));
    replace_all(json, "{dynamic_type}", default_type(type));
    JsonTree made = JsonTree::parse(json);
    if (made.find("type") == nullptr) made.set("type", JsonTree::text(default_type(type)));
    return made;
}

bool takes_objects(const JsonTree& mapping) {
    const std::string type = text_of(mapping, "type");
    return type.empty() || type == "object" || type == "nested";
}

/// Types whose values are no objects.
bool refuses_objects(const JsonTree& mapping) {
    const io::ValueType type = io::value_type_from_name(text_of(mapping, "type"));
    return type != io::ValueType::unknown && type != io::ValueType::object &&
           type != io::ValueType::vector;
}

/// Of a list, the first value that says something.
Value first_of(Value value) {
    if (!value.is_array()) return value;
    for (const Value& one : value.as_array()) {
        const Value first = first_of(one);
        if (!first.is_null() && !first.is_array()) return first;
    }
    return {};
}

std::string joined(std::string_view path, std::string_view name) {
    return path.empty() ? std::string(name) : std::string(path) + "." + std::string(name);
}

bool is_whole(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc() && end == text.data() + text.size();
}

bool is_number(std::string_view text) {
    double number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool DynamicTemplates::are_in(std::string_view mappings) {
    return mappings.find("\"dynamic_templates\"") != std::string_view::npos ||
           mappings.find("_allow_templates\"") != std::string_view::npos;
}

DynamicTemplates::DynamicTemplates(JsonTree mappings, const std::vector<io::FieldInfo>& brought,
                                   std::size_t most_fields)
    : mappings_(std::move(mappings)), most_fields_(most_fields) {
    for (const io::FieldInfo& field : brought)
        brought_.push_back(field.path);
    std::sort(brought_.begin(), brought_.end());
    detects_dates_ = text_of(mappings_, "date_detection") != "false";
    detects_numbers_ = text_of(mappings_, "numeric_detection") == "true";
    const JsonTree* list = mappings_.find("dynamic_templates");
    if (list == nullptr) return;
    document::Arena arena;
    Value value;
    document::JsonError error;
    const std::string json = list->json();
    document::JsonParser().parse(json, arena, value, error);
    if (!value.is_array())
        throw mapping_error(
            "Dynamic template syntax error. An array of named objects is expected.");
    for (const Value& one : value.as_array()) {
        const JsonTree named = JsonTree::from(one);
        if (!named.is_object() || named.members().size() != 1)
            throw mapping_error("A dynamic template must be defined with a name");
        templates_.push_back(read(named.members().front().first, named.members().front().second));
    }
}

void check_dynamic_templates(const JsonTree& mappings) {
    if (mappings.find("dynamic_templates") != nullptr)
        DynamicTemplates(mappings, {}, std::numeric_limits<std::size_t>::max());
}

DynamicTemplates::Template DynamicTemplates::read(const std::string& name, const JsonTree& body) {
    Template made;
    made.name = name;
    made.match = texts_of(body, "match");
    made.unmatch = texts_of(body, "unmatch");
    made.is_regex = text_of(body, "match_pattern") == "regex";
    made.path_match = texts_of(body, "path_match");
    made.path_unmatch = texts_of(body, "path_unmatch");
    made.types = texts_of(body, "match_mapping_type");
    made.other_types = texts_of(body, "unmatch_mapping_type");
    if (const JsonTree* mapping = body.find("mapping")) made.mapping = *mapping;
    return made;
}

bool DynamicTemplates::Template::matches(const std::vector<std::string>& patterns,
                                         std::string_view field) const {
    if (!is_regex) return any_fits(patterns, field);
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& expression) {
        return fits_expression(expression, field);
    });
}

bool DynamicTemplates::Template::fits(std::string_view path, std::string_view field,
                                      std::string_view type) const {
    if (is_chosen_by_name_alone()) return false;
    if (!match.empty() && !matches(match, field)) return false;
    if (!path_match.empty() && !any_fits(path_match, path)) return false;
    if (!types.empty() && !has_type(types, type)) return false;
    return !matches(unmatch, field) && !any_fits(path_unmatch, path) &&
           !has_type(other_types, type);
}

DynamicTemplates::Dynamic DynamicTemplates::dynamic_of(const JsonTree& object, Dynamic around) {
    const std::string said = text_of(object, "dynamic");
    if (said.empty()) return around;
    if (said == "false_allow_templates") return Dynamic::with_template;
    if (said == "strict_allow_templates") return Dynamic::with_template_or_refused;
    return said == "false" || said == "strict" ? Dynamic::no : Dynamic::yes;
}

/// As templates name types.
std::string DynamicTemplates::type_of(Value value) const {
    if (value.is_object()) return "object";
    if (value.is_boolean()) return "boolean";
    if (value.is_string()) {
        const std::string_view text = value.as_string();
        if (detects_dates_ && io::looks_like_date(text)) return "date";
        if (detects_numbers_ && is_whole(text)) return "long";
        return detects_numbers_ && is_number(text) ? "double" : "string";
    }
    return value.is_integer() ? "long" : "double";
}

const DynamicTemplates::Template* DynamicTemplates::find(std::string_view path,
                                                         std::string_view field,
                                                         std::string_view type,
                                                         const TemplateNames& names) const {
    const auto wanted = names.find(path);
    const auto found = std::find_if(templates_.begin(), templates_.end(), [&](const Template& one) {
        return wanted == names.end() ? one.fits(path, field, type) : one.name == wanted->second;
    });
    if (found != templates_.end()) return &*found;
    if (wanted == names.end()) return nullptr;
    throw ApiError(400, "document_parsing_exception",
                   "failed to parse: Can't find dynamic template for dynamic template name [" +
                       wanted->second + "] of field [" + std::string(path) + "]");
}

/// One document.
class DynamicTemplates::Walk {
  public:
    Walk(const DynamicTemplates& templates, std::string_view id, const TemplateNames& names)
        : templates_(templates), id_(id), names_(names) {}

    std::optional<JsonTree> run(const Object& source) {
        const JsonTree& mappings = templates_.mappings_;
        JsonTree added;
        object(source, "", mappings.find("properties"), dynamic_of(mappings, Dynamic::yes), added);
        if (added.empty()) return std::nullopt;
        JsonTree made;
        made.set("properties", std::move(added));
        return made;
    }

  private:
    /// `known`: the mappings of the object's fields; null: it has none. `added` gets those of the
    /// new ones.
    void object(const Object& from, const std::string& path, const JsonTree* known, Dynamic dynamic,
                JsonTree& added) {
        if (dynamic == Dynamic::no) return;
        for (const document::Member& member : from)
            named(member.key(), member.value, path, known, dynamic, added);
    }

    /// A name with dots is a path through objects.
    void named(std::string_view name, Value value, const std::string& path, const JsonTree* known,
               Dynamic dynamic, JsonTree& added) {
        if (path.size() + name.size() > kMaxPathBytes) return;
        const std::size_t dot = name.find('.');
        const bool inner = dot != std::string_view::npos && dot > 0 && dot + 1 < name.size();
        const bool whole = known != nullptr && known->find(name) != nullptr;
        if (!inner || whole) return field(name, value, path, known, dynamic, added, {});
        field(name.substr(0, dot), value, path, known, dynamic, added, name.substr(dot + 1));
    }

    /// `rest`: what follows in a name with dots; then the field is an object.
    void field(std::string_view name, Value value, const std::string& path, const JsonTree* known,
               Dynamic dynamic, JsonTree& added, std::string_view rest) {
        const std::string here = joined(path, name);
        const JsonTree* stored = known == nullptr ? nullptr : known->find(name);
        if (const JsonTree* mapped = stored == nullptr ? added.find(name) : stored) {
            if (takes_objects(*mapped)) members(name, value, here, stored, dynamic, added, rest);
            return;
        }
        const Value first = first_of(value);
        if (rest.empty() && first.is_null()) return;
        const std::string type = rest.empty() ? templates_.type_of(first) : "object";
        if (is_brought(here, type)) return;
        const Template* fits = templates_.find(here, name, type, names_);
        if (fits == nullptr) return without(name, value, path, type, dynamic, added, rest);
        JsonTree mapping = mapping_for(fits->mapping, name, type);
        if (type == "object" && refuses_objects(mapping)) refuse(here, mapping, value, rest);
        count_field();
        added.set(name, mapping);
        if (takes_objects(mapping)) members(name, value, here, nullptr, dynamic, added, rest);
    }

    /// What lies in an object, or in a list of them. `stored`: its mapping, unless it is new.
    void members(std::string_view name, Value value, const std::string& path,
                 const JsonTree* stored, Dynamic dynamic, JsonTree& added, std::string_view rest) {
        const JsonTree* mapping = stored == nullptr ? added.find(name) : stored;
        const Dynamic inside = mapping == nullptr ? dynamic : dynamic_of(*mapping, dynamic);
        if (inside == Dynamic::no) return;
        const JsonTree* known = stored == nullptr ? nullptr : stored->find("properties");
        JsonTree inner = taken_out(added, name);
        if (!rest.empty()) {
            named(rest, value, path, known, inside, inner);
        } else {
            each_object(value, [&](const Object& one) { object(one, path, known, inside, inner); });
        }
        if (inner.empty()) return;
        JsonTree& mine = added.at(name);
        const JsonTree* type = stored == nullptr ? nullptr : stored->find("type");
        if (type != nullptr) mine.set("type", *type);
        mine.set("properties", std::move(inner));
    }

    /// The new fields of an object so far, to go on with: a copy for each object of a long list
    /// would take too long.
    static JsonTree taken_out(JsonTree& added, std::string_view name) {
        const JsonTree* object = added.find(name);
        if (object == nullptr || object->find("properties") == nullptr) return {};
        return std::exchange(added.at(name).at("properties"), JsonTree());
    }

    /// A document with more new fields than an index may have is refused before all of them are
    /// made.
    void count_field() {
        if (++fields_ > templates_.most_fields_) throw too_many_fields(templates_.most_fields_);
    }

    /// No template is for it.
    void without(std::string_view name, Value value, const std::string& path,
                 const std::string& type, Dynamic dynamic, JsonTree& added, std::string_view rest) {
        if (dynamic == Dynamic::with_template) return;
        if (dynamic == Dynamic::with_template_or_refused)
            throw ApiError(400, "strict_dynamic_mapping_exception",
                           "mapping set to strict_allow_templates, dynamic introduction of [" +
                               std::string(name) + "] within [" + (path.empty() ? "_doc" : path) +
                               "] is not allowed");
        if (type == "object")
            members(name, value, joined(path, name), nullptr, dynamic, added, rest);
    }

    template <class Visit>
    void each_object(Value value, const Visit& visit) {
        if (value.is_object()) visit(value.as_object());
        if (!value.is_array()) return;
        for (const Value& one : value.as_array())
            each_object(one, visit);
    }

    bool is_brought(const std::string& path, std::string_view type) const {
        return type != "object" &&
               std::binary_search(templates_.brought_.begin(), templates_.brought_.end(), path);
    }

    [[noreturn]] void refuse(const std::string& path, const JsonTree& mapping, Value value,
                             std::string_view rest) const {
        std::string shown;
        document::append_java_string(value, shown);
        if (!rest.empty()) shown = "{" + std::string(rest) + "=" + shown + "}";
        throw ApiError(400, "document_parsing_exception",
                       "failed to parse field [" + path + "] of type [" + text_of(mapping, "type") +
                           "] in document with id '" + std::string(id_) +
                           "'. Preview of field's value: '" + shown + "'");
    }

    const DynamicTemplates& templates_;
    std::string_view id_;
    const TemplateNames& names_;
    std::size_t fields_ = 0;
};

std::optional<JsonTree> DynamicTemplates::additions(Value source, std::string_view id,
                                                    const TemplateNames& names) const {
    if (!source.is_object()) return std::nullopt;
    return Walk(*this, id, names).run(source.as_object());
}

}  // namespace penstock::serve
