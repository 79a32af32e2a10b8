#include "engine/io/mapped_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include "engine/document/json.h"
#include "engine/io/date_math.h"
#include "engine/io/json_text.h"

namespace penstock::io {
namespace {

using document::Object;
using document::Value;

constexpr std::string_view kDateFormat = "strict_date_optional_time||epoch_millis";

const Object* object_member(const Object& object, std::string_view name) {
    const Value* member = object.get(name);
    return member != nullptr && member->is_object() ? &member->as_object() : nullptr;
}

/// A member's content: of a string, a number or a truth value.
std::string content_of(const Object& object, std::string_view name) {
    const Value* member = object.get(name);
    std::string content;
    if (member != nullptr && !member->is_null()) document::append_java_string(*member, content);
    return content;
}

/// All formats of the list are read here, so that what cannot be read is no date.
bool reads_formats(std::string_view formats) {
    static constexpr std::array<std::string_view, 5> kRead = {
        "strict_date_optional_time", "date_optional_time", "strict_date_optional_time_nanos",
        "epoch_millis", "epoch_second"};
    while (!formats.empty()) {
        const std::size_t end = std::min(formats.find("||"), formats.size());
        if (std::find(kRead.begin(), kRead.end(), formats.substr(0, end)) == kRead.end())
            return false;
        formats.remove_prefix(std::min(end + 2, formats.size()));
    }
    return true;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// As Java reads it.
std::optional<double> number_in(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    // Too large or too small: strtod tells which.
    if (problem == std::errc::result_out_of_range && stop == end)
        return std::strtod(std::string(text).c_str(), nullptr);
    if (problem != std::errc() || stop != end || text.empty()) return std::nullopt;
    return number;
}

struct WholeType {
    std::string_view type;
    std::string_view called;
    double least;
    double most;
};
constexpr std::array<WholeType, 5> kWholeTypes{{{"long", "a long", -0x1p63, 0x1p63},
                                                {"integer", "an integer", -0x1p31, 0x1p31 - 1},
                                                {"short", "a short", -32'768, 32'767},
                                                {"byte", "a byte", -128, 127},
                                                {"unsigned_long", "unsigned long", 0, 0x1p64}}};

/// `infinite`: what is rounded to infinity, half a step beyond the largest value.
struct FractionType {
    std::string_view type;
    double infinite;
};
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::array<FractionType, 4> kFractionTypes{{{"double", kInfinity},
                                                      {"float", 0x1.ffffffp127},
                                                      {"half_float", 65'520},
                                                      {"scaled_float", kInfinity}}};

bool is_address(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return ::inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

using Cause = std::optional<std::pair<std::string, std::string>>;  ///< type and reason

Cause illegal(std::string reason) {
    return std::pair{std::string("illegal_argument_exception"), std::move(reason)};
}

}  // namespace

MappedValues::MappedValues(std::string_view mappings, std::string_view settings) {
    read_settings(settings);
    document::Arena arena;
    Value value;
    document::JsonError error;
    if (mappings.empty() || !document::JsonParser().parse(mappings, arena, value, error)) return;
    const Object* properties =
        value.is_object() ? object_member(value.as_object(), "properties") : nullptr;
    if (properties == nullptr) return;
    root_ = std::make_unique<Node>();
    root_->kind = Kind::object;
    read_members(*properties, *root_, 0);
}

void MappedValues::read_settings(std::string_view settings) {
    document::Arena arena;
    Value value;
    document::JsonError error;
    if (settings.empty() || !document::JsonParser().parse(settings, arena, value, error)) return;
    const Object* level = value.is_object() ? object_member(value.as_object(), "index") : nullptr;
    level = level == nullptr ? nullptr : object_member(*level, "mapping");
    if (level == nullptr) return;
    ignores_malformed_ = content_of(*level, "ignore_malformed") == "true";
    coerces_ = content_of(*level, "coerce") != "false";
    const Object* nested = object_member(*level, "nested_objects");
    if (nested == nullptr) return;
    const std::string limit = content_of(*nested, "limit");
    std::from_chars(limit.data(), limit.data() + limit.size(), nested_limit_);
}

MappedValues::Kind MappedValues::kind_of(std::string_view type) {
    static constexpr std::array<std::string_view, 7> kTexts = {
        "text",     "keyword", "constant_keyword",  "match_only_text",
        "wildcard", "version", "search_as_you_type"};
    const auto is_type = [&](const auto& known) { return known.type == type; };
    if (type.empty() || type == "object") return Kind::object;
    if (type == "nested") return Kind::nested;
    if (type == "boolean") return Kind::boolean;
    if (type == "date") return Kind::date;
    if (type == "date_nanos") return Kind::date_nanos;
    if (type == "ip") return Kind::ip;
    if (type == "alias") return Kind::alias;
    if (std::any_of(kWholeTypes.begin(), kWholeTypes.end(), is_type)) return Kind::whole;
    if (std::any_of(kFractionTypes.begin(), kFractionTypes.end(), is_type)) return Kind::fraction;
    return std::find(kTexts.begin(), kTexts.end(), type) == kTexts.end() ? Kind::any : Kind::text;
}

/// A name with dots is a path. What lies deeper than any document is not looked at.
void MappedValues::read_members(const Object& properties, Node& node, int depth) const {
    for (const document::Member& member : properties) {
        if (!member.value.is_object()) continue;
        Node* at = &node;
        std::string_view path = member.key();
        const auto dots = std::count(path.begin(), path.end(), '.');
        if (depth + dots > JsonCursor::kMaxDepth) continue;
        while (!path.empty()) {
            const std::size_t dot = std::min(path.find('.'), path.size());
            auto& next = at->members[std::string(path.substr(0, dot))];
            if (!next) next = std::make_unique<Node>();
            at = next.get();
            path.remove_prefix(std::min(dot + 1, path.size()));
        }
        const int inside = depth + static_cast<int>(dots) + 1;
        if (at != &node) read_field(member.value.as_object(), *at, inside);
    }
}

void MappedValues::read_field(const Object& field, Node& node, int depth) const {
    node.type = content_of(field, "type");
    node.kind = kind_of(node.type);
    node.format = content_of(field, "format");
    if (node.format.empty()) node.format = kDateFormat;
    if (node.type == "constant_keyword" && field.get("value") != nullptr)
        node.only = content_of(field, "value");
    const std::string malformed = content_of(field, "ignore_malformed");
    node.ignores_malformed = malformed.empty() ? ignores_malformed_ : malformed == "true";
    const std::string coerce = content_of(field, "coerce");
    node.coerces = coerce.empty() ? coerces_ : coerce == "true";
    const bool is_date = node.kind == Kind::date || node.kind == Kind::date_nanos;
    if (content_of(field, "enabled") == "false" || (is_date && !reads_formats(node.format))) {
        node.kind = Kind::any;
        return;
    }
    if (const Object* properties = object_member(field, "properties"))
        read_members(*properties, node, depth);
}

const MappedValues::Node* MappedValues::find(const Node& node, std::string_view name) {
    const Node* at = &node;
    while (at != nullptr && !name.empty()) {
        const std::size_t dot = std::min(name.find('.'), name.size());
        const auto found = at->members.find(name.substr(0, dot));
        at = found == at->members.end() ? nullptr : found->second.get();
        name.remove_prefix(std::min(dot + 1, name.size()));
    }
    return at == &node ? nullptr : at;
}

/// One document, from its beginning to the first problem.
class MappedValues::Walk {
  public:
    Walk(const MappedValues& mapped, std::string_view source, std::string_view id)
        : mapped_(mapped), source_(source), id_(id), cursor_(source) {}

    std::optional<ValueProblem> run() {
        if (cursor_.kind() == JsonCursor::Kind::object) object(*mapped_.root_, "");
        return std::move(problem_);
    }

  private:
    void object(const Node& node, const std::string& path) {
        bool first = true;
        std::string_view key;
        if (!cursor_.enter()) return;
        while (!problem_ && cursor_.next_member(first, key)) {
            const bool escaped = key.find('\\') != std::string_view::npos;
            const std::string unescaped = escaped ? unescape(key) : std::string();
            const std::string_view name = escaped ? std::string_view(unescaped) : key;
            const Node* member = find(node, name);
            if (member == nullptr) {
                cursor_.skip();
            } else {
                value(*member, path.empty() ? std::string(name) : path + "." + std::string(name));
            }
        }
    }

    void value(const Node& node, const std::string& path) {
        bool first = true;
        switch (cursor_.kind()) {
            case JsonCursor::Kind::array:
                if (!cursor_.enter()) return;
                while (!problem_ && cursor_.next_element(first))
                    value(node, path);
                return;
            case JsonCursor::Kind::object:
                return object_value(node, path);
            case JsonCursor::Kind::null:
            case JsonCursor::Kind::none:
                return cursor_.skip();
            default:
                scalar(node, path);
        }
    }

    void object_value(const Node& node, const std::string& path) {
        const std::size_t begin = cursor_.offset();
        if (node.kind == Kind::nested && ++nested_ > mapped_.nested_limit_) {
            const std::string limit = std::to_string(mapped_.nested_limit_);
            return refuse(begin,
                          "The number of nested documents has exceeded the allowed limit of [" +
                              limit +
                              "]. This limit can be set by changing the "
                              "[index.mapping.nested_objects.limit] index level setting.");
        }
        const bool takes_objects = node.kind == Kind::object || node.kind == Kind::nested;
        if (takes_objects || !node.members.empty()) return object(node, path);
        cursor_.skip();
        if (node.kind == Kind::any) return;
        if (node.kind == Kind::alias) return refuse_alias(path, begin);
        refuse_value(node, path, begin, no_object(node, begin));
    }

    Cause no_object(const Node& node, std::size_t begin) const {
        if (node.kind == Kind::text)
            return std::pair{std::string("illegal_state_exception"),
                             "Can't get text on a START_OBJECT at " + place(begin)};
        const bool number = node.kind == Kind::whole || node.kind == Kind::fraction;
        return illegal("Cannot parse object as " + (number ? "number" : node.type));
    }

    void scalar(const Node& node, const std::string& path) {
        const std::size_t begin = cursor_.offset();
        const JsonCursor::Kind kind = cursor_.kind();
        if (node.kind == Kind::object || node.kind == Kind::nested) {
            const std::size_t dot = path.rfind('.');
            return refuse(begin, "object mapping for [" + path + "] tried to parse field [" +
                                     path.substr(dot == std::string::npos ? 0 : dot + 1) +
                                     "] as object, but found a concrete value");
        }
        if (node.kind == Kind::alias) return refuse_alias(path, begin);
        if (node.kind == Kind::any || (node.ignores_malformed && node.kind != Kind::text))
            return cursor_.skip();
        std::string text;
        if (kind == JsonCursor::Kind::string) {
            text = unescape(cursor_.string());
        } else {
            cursor_.skip();
            text = source_.substr(begin, cursor_.offset() - begin);
        }
        if (Cause cause = misfit(node, kind, text))
            refuse_value(node, path, begin, std::move(cause));
    }

    void refuse_alias(const std::string& path, std::size_t begin) {
        refuse(begin, "failed to parse");
        problem_->cause_type = "illegal_argument_exception";
        problem_->cause_reason = "Cannot write to a field alias [" + path + "].";
    }

    static Cause misfit(const Node& node, JsonCursor::Kind kind, const std::string& text) {
        const bool is_boolean = kind == JsonCursor::Kind::boolean;
        const bool is_string = kind == JsonCursor::Kind::string;
        switch (node.kind) {
            case Kind::boolean:
                if (is_boolean ||
                    (is_string && (text.empty() || text == "true" || text == "false")))
                    return std::nullopt;
                return illegal("Failed to parse value [" + text +
                               "] as only [true] or [false] are allowed.");
            case Kind::whole:
            case Kind::fraction:
                if (is_boolean)
                    return illegal("Current token (VALUE_" +
                                   std::string(text == "true" ? "TRUE" : "FALSE") +
                                   ") not numeric, can not use numeric value accessors");
                if (is_string && !node.coerces)
                    return illegal("a value of type [" + node.type + "] passed as String");
                if (is_string && text.empty()) return std::nullopt;
                return node.kind == Kind::whole ? no_whole(node, text) : no_fraction(node, text);
            case Kind::date:
            case Kind::date_nanos:
                return no_date(node, text);
            case Kind::ip:
                if (is_string && is_address(text)) return std::nullopt;
                return illegal("'" + text + "' is not an IP string literal.");
            case Kind::text:
                if (!node.only || *node.only == text) return std::nullopt;
                return illegal(
                    "[constant_keyword] field only accepts values that are equal to the "
                    "value defined in the mappings [" +
                    *node.only + "], but got [" + text + "]");
            default:
                return std::nullopt;
        }
    }

    static Cause no_number(const Node& node, const std::string& text) {
        const bool is_long = node.type == "long" || node.type == "unsigned_long";
        return std::pair{
            std::string(is_long ? "illegal_argument_exception" : "number_format_exception"),
            "For input string: \"" + text + "\""};
    }

    /// Fractions are cut off unless the mapping says otherwise.
    static Cause no_whole(const Node& node, const std::string& text) {
        const auto number = number_in(text);
        if (!number || std::isnan(*number)) return no_number(node, text);
        const auto* const type =
            std::find_if(kWholeTypes.begin(), kWholeTypes.end(),
                         [&](const WholeType& known) { return known.type == node.type; });
        const double whole = std::trunc(*number);
        if (!node.coerces && whole != *number)
            return illegal(text + " cannot be converted to [" + node.type + "] without data loss");
        const bool is_wide = type->most >= 0x1p63;  // then this bound is one beyond the largest
        if (whole < type->least || (is_wide ? !fits_wide(*type, text, whole) : whole > type->most))
            return illegal("Value [" + text + "] is out of range for " + std::string(type->called));
        return std::nullopt;
    }

    /// The largest of these lie so close to the bound that a double does not tell them from it.
    static bool fits_wide(const WholeType& type, const std::string& text, double whole) {
        if (whole < type.most) return true;
        if (whole > type.most) return false;
        const std::string_view digits = trimmed(text);
        const char* end = digits.data() + digits.size();
        std::uint64_t large = 0;
        std::int64_t small = 0;
        const auto parsed = type.least == 0 ? std::from_chars(digits.data(), end, large)
                                            : std::from_chars(digits.data(), end, small);
        return parsed.ec == std::errc();
    }

    static Cause no_fraction(const Node& node, const std::string& text) {
        const auto number = number_in(text);
        if (!number) return no_number(node, text);
        const auto* const type =
            std::find_if(kFractionTypes.begin(), kFractionTypes.end(),
                         [&](const FractionType& known) { return known.type == node.type; });
        if (std::abs(*number) < type->infinite) return std::nullopt;  // not so NaN
        return illegal("[" + node.type + "] supports only finite values, but got [" + text + "]");
    }

    static Cause no_date(const Node& node, const std::string& text) {
        const auto millis = parse_date(text);
        if (!millis && (trimmed(text) != text || !number_in(text)))
            return illegal("failed to parse date field [" + text + "] with format [" + node.format +
                           "]");
        if (node.kind == Kind::date || !millis) return std::nullopt;
        constexpr std::int64_t kLastMillis = 9'223'372'036'854;
        if (*millis < 0)
            return illegal("date[" + text +
                           "] is before the epoch in 1970 and cannot be stored in nanosecond "
                           "resolution");
        if (*millis > kLastMillis)
            return illegal("date[" + text +
                           "] is after 2262-04-11T23:47:16.854775807 and cannot be stored in "
                           "nanosecond resolution");
        return std::nullopt;
    }

    /// Line and column, from 1.
    std::string place(std::size_t offset) const {
        const std::string_view before = source_.substr(0, offset);
        const std::size_t line = before.rfind('\n');
        const auto lines = std::count(before.begin(), before.end(), '\n');
        const std::size_t column = line == std::string_view::npos ? offset + 1 : offset - line;
        return std::to_string(lines + 1) + ":" + std::to_string(column);
    }

    void refuse(std::size_t begin, std::string reason) {
        problem_ = ValueProblem{"[" + place(begin) + "] " + std::move(reason), "", ""};
    }

    void refuse_value(const Node& node, const std::string& path, std::size_t begin, Cause cause) {
        refuse(begin, "failed to parse field [" + path + "] of type [" + node.type +
                          "] in document with id '" + std::string(id_) +
                          "'. Preview of field's value: '" +
                          preview(source_.substr(begin, cursor_.offset() - begin)) + "'");
        problem_->cause_type = std::move(cause->first);
        problem_->cause_reason = std::move(cause->second);
    }

    /// As Java prints it.
    static std::string preview(std::string_view json) {
        document::Arena arena;
        Value value;
        document::JsonError error;
        std::string text;
        if (document::JsonParser().parse(json, arena, value, error))
            document::append_java_string(value, text);
        return text;
    }

    const MappedValues& mapped_;
    std::string_view source_;
    std::string_view id_;
    JsonCursor cursor_;
    std::optional<ValueProblem> problem_;
    std::size_t nested_ = 0;
};

std::optional<ValueProblem> MappedValues::problem(std::string_view source,
                                                  std::string_view id) const {
    return root_ ? Walk(*this, source, id).run() : std::nullopt;
}

}  // namespace penstock::io
