#include "engine/io/extract.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <deque>
#include <optional>
#include <unordered_set>

#include "engine/io/json_text.h"

namespace penstock::io {
namespace {

/// How programs write floating-point numbers. All print the shortest digits that read back; they
/// differ in when they turn to exponents and how these look.
enum Notation { kCpp, kJava, kPython, kJavaScript, kNotations };
/// A style is a notation, a precision (shortest as float, or as double), and a separator (",", or
/// ", ").
constexpr int kStyles = kNotations * 4;

struct Digits {
    bool negative = false;
    std::string digits;  // without leading or trailing zeros, at least one
    int exponent = 0;    // of the first digit
};

template <typename Number>
Digits digits_of(Number value) {
    std::array<char, 40> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific)
            .ptr;
    Digits result;
    const char* p = text.data();
    if (*p == '-') {
        result.negative = true;
        ++p;
    }
    for (; p != end && *p != 'e'; ++p) {
        if (*p != '.') result.digits.push_back(*p);
    }
    if (p != end) {
        ++p;
        if (*p == '+') ++p;
        std::from_chars(p, end, result.exponent);
    }
    while (result.digits.size() > 1 && result.digits.back() == '0')
        result.digits.pop_back();
    return result;
}

void append_fixed(std::string& out, const Digits& d, bool point_zero) {
    const int size = static_cast<int>(d.digits.size());
    if (d.exponent < 0) {
        out += "0.";
        out.append(static_cast<std::size_t>(-d.exponent - 1), '0');
        out += d.digits;
    } else if (size <= d.exponent + 1) {
        out += d.digits;
        out.append(static_cast<std::size_t>(d.exponent + 1 - size), '0');
        if (point_zero) out += ".0";
    } else {
        out.append(d.digits, 0, static_cast<std::size_t>(d.exponent) + 1);
        out.push_back('.');
        out.append(d.digits, static_cast<std::size_t>(d.exponent) + 1);
    }
}

void append_scientific(std::string& out, const Digits& d, Notation notation) {
    out.push_back(d.digits[0]);
    if (d.digits.size() > 1 || notation == kJava) {
        out.push_back('.');
        out += d.digits.size() > 1 ? d.digits.substr(1) : "0";
    }
    out.push_back(notation == kJava ? 'E' : 'e');
    if (d.exponent < 0) out.push_back('-');
    if (d.exponent >= 0 && notation != kJava) out.push_back('+');
    const std::string exponent = std::to_string(std::abs(d.exponent));
    if (notation == kPython && exponent.size() < 2) out.push_back('0');
    out += exponent;
}

template <typename Number>
void append_number(std::string& out, Number value, Notation notation) {
    if (notation == kCpp) {
        std::array<char, 40> text{};
        out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
        return;
    }
    const Digits d = digits_of(value);
    if (d.negative) out.push_back('-');
    const int first = notation == kJava ? -3 : notation == kPython ? -4 : -7;
    const int last = notation == kJava ? 7 : notation == kPython ? 16 : 21;
    const bool zero = d.digits == "0";
    if (zero || (d.exponent >= first && d.exponent < last)) {
        append_fixed(out, d, notation != kJavaScript);
    } else {
        append_scientific(out, d, notation);
    }
}

void append_element(std::string& out, float value, int style) {
    const auto notation = static_cast<Notation>(style / 4);
    if (style % 2 == 0) {
        append_number(out, value, notation);
    } else {
        append_number(out, static_cast<double>(value), notation);
    }
}

bool matches(std::string_view text, const std::vector<float>& values, int style) {
    const std::string_view separator = (style / 2) % 2 == 0 ? "," : ", ";
    std::string element;
    std::size_t pos = 1;
    for (std::size_t i = 0; i < values.size(); ++i) {
        element = i == 0 ? "" : separator;
        append_element(element, values[i], style);
        if (text.compare(pos, element.size(), element) != 0) return false;
        pos += element.size();
    }
    return text.substr(pos) == "]";
}

/// The numbers of an array, if it holds nothing else. The cursor stands before the array and is
/// moved behind it only on success.
std::optional<std::vector<float>> numbers(JsonCursor& cursor, std::string& error) {
    JsonCursor probe = cursor;
    std::vector<float> values;
    bool first = true;
    if (!probe.enter()) return std::nullopt;
    while (probe.next_element(first)) {
        if (probe.kind() != JsonCursor::Kind::number) return std::nullopt;
        const std::string_view text = probe.number();
        double wide = 0;
        std::from_chars(text.data(), text.data() + text.size(), wide);
        float value = 0;
        const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
        if (result.ec == std::errc::result_out_of_range) value = static_cast<float>(wide);
        // from_chars leaves `wide` at zero beyond the range of double, too small and too large
        // alike.
        const bool huge = result.ec == std::errc::result_out_of_range &&
                          text.find("e-") == std::string_view::npos &&
                          text.find("E-") == std::string_view::npos;
        if (!std::isfinite(value) || huge)
            error = "holds the number " + std::string(text.substr(0, 40)) +
                    ", which a 32-bit float cannot hold";
        if (values.size() <= kMaxDims) values.push_back(value);
    }
    if (!probe.ok()) return std::nullopt;
    cursor = probe;
    return values;
}

std::string pointer_token(std::string_view raw_key) {
    std::string token = "/";
    for (const char c : unescape(raw_key)) {
        if (c == '~') {
            token += "~0";
        } else if (c == '/') {
            token += "~1";
        } else {
            token.push_back(c);
        }
    }
    return token;
}

/// Names of the members of all open objects, the innermost last.
struct OpenNames {
    std::vector<std::string_view> names;
    std::vector<std::size_t> hashes;  ///< of these, which are quicker to look through
};

/// The names that one object has had so far.
class MemberNames {
  public:
    explicit MemberNames(OpenNames& open) : open_(open), begin_(open.names.size()) {}
    ~MemberNames() {
        open_.names.resize(begin_);
        open_.hashes.resize(begin_);
    }
    MemberNames(const MemberNames&) = delete;
    MemberNames& operator=(const MemberNames&) = delete;

    /// False when it is there already.
    bool add(std::string_view name) {
        constexpr std::size_t kFew = 64;
        const std::size_t hash = std::hash<std::string_view>()(name);
        if (open_.names.size() - begin_ < kFew) {
            for (std::size_t i = begin_; i < open_.hashes.size(); ++i) {
                if (open_.hashes[i] == hash && open_.names[i] == name) return false;
            }
        } else {
            if (many_.empty())
                many_.insert(open_.names.begin() + static_cast<std::ptrdiff_t>(begin_),
                             open_.names.end());
            if (!many_.insert(name).second) return false;
        }
        open_.names.push_back(name);
        open_.hashes.push_back(hash);
        return true;
    }

  private:
    OpenNames& open_;
    std::size_t begin_;
    std::unordered_set<std::string_view> many_;
};

class Walker {
  public:
    Walker(std::string_view source, const FieldRules& rules)
        : source_(source), cursor_(source, JsonCursor::Check::values), rules_(rules) {}

    Extracted run() {
        if (cursor_.kind() != JsonCursor::Kind::object) {
            refuse("the document is not a JSON object");
        } else {
            object("", "", "");
            if (!cursor_.finished()) {
                refuse(cursor_.ok() ? "text after the end of the document"
                                    : "invalid JSON: " + cursor_.error());
            }
        }
        out_.stripped.append(source_.substr(copied_));
        return std::move(out_);
    }

  private:
    using Kind = JsonCursor::Kind;
    static constexpr std::size_t kMaxPathBytes = 512;
    static constexpr std::size_t kShownOfPath = 60;

    void refuse(std::string why) {
        if (out_.error.empty()) out_.error = std::move(why);
    }

    /// `where` is the pointer of the object itself, `element` that of the nearest array element
    /// around it.
    void object(const std::string& path, const std::string& where, const std::string& element) {
        bool first = true;
        bool first_kept = true;  // no member before this one is left in the stripped text
        std::string_view key;
        MemberNames names(names_);
        if (!cursor_.enter()) return;
        while (out_.error.empty() && cursor_.next_member(first, key)) {
            if (!is_new(names, key)) return;
            const std::string name = unescape(key);
            if (!name.empty() && name.find_first_not_of('.') == std::string::npos)
                return refuse("field name cannot contain only the character [.]");
            std::string field = path;
            if (!field.empty()) field.push_back('.');
            field += name;
            using Treatment = MappedFields::Treatment;
            const Treatment treatment = rules_.treat ? rules_.treat(field) : Treatment::index;
            if (treatment == Treatment::refuse) return refuse_strict(path, name);
            if (treatment == Treatment::keep_only) {
                pass_looking_for_text();
                first_kept = false;
                continue;
            }
            if (field.size() > kMaxPathBytes) {
                long_path(field);
                first_kept = false;
                continue;
            }
            const std::string pointer = where + pointer_token(key);
            const auto begin = static_cast<std::size_t>(key.data() - source_.data()) - 1;
            const Taken taken = cursor_.kind() == Kind::array
                                    ? vector(field, element, begin, first_kept)
                                    : Taken::no;
            if (taken == Taken::no) value(field, pointer, element);
            if (taken != Taken::cut) first_kept = false;
        }
    }

    bool is_new(MemberNames& names, std::string_view key) {
        std::string_view name = key;
        if (key.find('\\') != std::string_view::npos) name = unescaped_.emplace_back(unescape(key));
        if (names.add(name)) return true;
        refuse("Duplicate field '" + std::string(name) + "'");
        return false;
    }

    void refuse_strict(const std::string& path, const std::string& name) {
        refuse("mapping set to strict, dynamic introduction of [" + name + "] within [" +
               (path.empty() ? "_doc" : path) + "] is not allowed");
        out_.error_type = "strict_dynamic_mapping_exception";
    }

    /// Every text keeps its path, so a long one is not carried along. Where there is no text,
    /// nothing is indexed, and fields may be called anything.
    void long_path(const std::string& whole) {
        if (!pass_looking_for_text()) {
            out_.has_unlisted = true;
            return;
        }
        std::size_t shown = kShownOfPath;
        while (shown > 0 && (static_cast<unsigned char>(whole[shown]) & 0xC0U) == 0x80U)
            --shown;
        refuse("the field name [" + whole.substr(0, shown) +
               "...] is too long, must be no longer than " + std::to_string(kMaxPathBytes) +
               " bytes but was: " + std::to_string(whole.size()));
    }

    /// Passes over the value; true when there is a string in it.
    bool pass_looking_for_text() {
        bool text = false;
        bool first = true;
        switch (cursor_.kind()) {
            case Kind::object:
                return pass_object_looking_for_text();
            case Kind::array:
                if (!cursor_.enter()) return false;
                while (cursor_.next_element(first))
                    text = pass_looking_for_text() || text;
                return text;
            case Kind::string:
                cursor_.string();
                return true;
            default:
                cursor_.skip();
                return false;
        }
    }

    bool pass_object_looking_for_text() {
        bool text = false;
        bool first = true;
        std::string_view key;
        MemberNames names(names_);
        if (!cursor_.enter()) return false;
        while (out_.error.empty() && cursor_.next_member(first, key)) {
            if (is_new(names, key)) text = pass_looking_for_text() || text;
        }
        return text;
    }

    void value(const std::string& field, const std::string& pointer, const std::string& element) {
        switch (cursor_.kind()) {
            case Kind::object:
                object(field, pointer, element);
                break;
            case Kind::array:
                array(field, pointer, element);
                break;
            case Kind::string:
                add_text(field, element, unescape(cursor_.string()));
                break;
            case Kind::number:
            case Kind::boolean:
                scalar(field, element);
                break;
            case Kind::null:
            case Kind::none:
                cursor_.skip();
        }
    }

    void array(const std::string& field, const std::string& pointer, const std::string& element) {
        bool first = true;
        std::string words;
        bool has_words = false;
        if (!cursor_.enter()) return;
        for (std::size_t i = 0; out_.error.empty() && cursor_.next_element(first); ++i) {
            if (cursor_.kind() == Kind::string || is_scalar_text(field)) {
                if (has_words) words.push_back('\n');
                words += cursor_.kind() == Kind::string ? unescape(cursor_.string())
                                                        : std::string(pass_scalar());
                has_words = true;
                continue;
            }
            const std::string here = pointer + "/" + std::to_string(i);
            if (cursor_.kind() == Kind::object) {
                object(field, here, here);
            } else {
                value(field, here, element);
            }
        }
        if (has_words) add_text(field, element, std::move(words));
    }

    void add_text(const std::string& field, const std::string& element, std::string text) {
        if (rules_.type_of(field) == FieldType::vector) {
            refuse_vector(field);
        } else {
            out_.texts.push_back({field, element, std::move(text)});
        }
    }

    /// A number or a truth value comes next, and the field holds words.
    bool is_scalar_text(const std::string& field) {
        const Kind kind = cursor_.kind();
        return (kind == Kind::number || kind == Kind::boolean) &&
               rules_.type_of(field) == FieldType::text;
    }

    /// The text of the number or truth value that comes next.
    std::string_view pass_scalar() {
        const std::size_t begin = cursor_.offset();
        cursor_.skip();
        return cursor_.ok() ? source_.substr(begin, cursor_.offset() - begin) : std::string_view();
    }

    void scalar(const std::string& field, const std::string& element) {
        const bool is_boolean = cursor_.kind() == Kind::boolean;
        const std::string_view text = pass_scalar();
        const FieldType known = rules_.type_of(field);
        if (known == FieldType::vector) refuse_vector(field);
        if (known == FieldType::text) out_.texts.push_back({field, element, std::string(text)});
        if (known != FieldType::unknown || !seen_.insert(field).second) return;
        const bool whole = text.find_first_of(".eE") == std::string_view::npos;
        out_.scalars.push_back({field, is_boolean ? FieldType::boolean
                                       : whole    ? FieldType::long_number
                                                  : FieldType::float_number});
    }

    void refuse_vector(const std::string& field) {
        refuse("the field [" + field + "] holds vectors; expected an array of numbers");
    }

    enum class Taken { no, kept, cut };

    /// Takes the array before the cursor as a vector if it is one.
    Taken vector(const std::string& field, const std::string& element, std::size_t begin,
                 bool first_kept) {
        const FieldType type = rules_.type_of(field);
        // A field of texts or of single values stays one.
        if (type != FieldType::vector && type != FieldType::unknown) return Taken::no;
        const std::size_t value_begin = cursor_.offset();
        std::string problem;
        JsonCursor ahead = cursor_;
        auto values = numbers(ahead, problem);
        if (!values) return Taken::no;
        const bool dynamic = values->size() >= kMinDynamicDims && values->size() <= kMaxDims;
        if (type == FieldType::unknown && !dynamic) return Taken::no;
        if (!problem.empty()) refuse("the vector in field [" + field + "] " + problem);
        cursor_ = ahead;
        VectorValue& vector = out_.vectors.emplace_back();
        vector.field = field;
        vector.pointer = element;
        vector.values = std::move(*values);
        const std::string_view text = source_.substr(value_begin, cursor_.offset() - value_begin);
        for (int style = 0; style < kStyles; ++style) {
            if (matches(text, vector.values, style)) {
                vector.cut.style = style;
                cut(vector.cut, begin, value_begin, first_kept);
                return Taken::cut;
            }
        }
        return Taken::kept;
    }

    /// Removes a member and one comma: the one before it, or, when nothing is left before it, the
    /// one behind it.
    void cut(Cut& cut, std::size_t begin, std::size_t value_begin, bool first_kept) {
        const std::size_t end = cursor_.offset();
        std::size_t last = end;
        if (!first_kept) {
            begin = source_.rfind(',', begin - 1);
        } else {
            const std::size_t comma = source_.find_first_not_of(" \t\r\n", end);
            if (comma != std::string_view::npos && source_[comma] == ',') last = comma + 1;
        }
        out_.stripped.append(source_.substr(copied_, begin - copied_));
        copied_ = last;
        cut.at = static_cast<std::int64_t>(out_.stripped.size());
        cut.prefix = source_.substr(begin, value_begin - begin);
        cut.suffix = source_.substr(end, last - end);
    }

    std::string_view source_;
    JsonCursor cursor_;
    const FieldRules& rules_;
    Extracted out_;
    OpenNames names_;
    std::deque<std::string> unescaped_;     ///< those of `names_` that are written with escapes
    std::unordered_set<std::string> seen_;  ///< the fields in out_.scalars
    std::size_t copied_ = 0;
};

}  // namespace

Extracted extract(std::string_view source, const FieldRules& rules) {
    return Walker(source, rules).run();
}

std::string render_vector(const std::vector<float>& values, int style) {
    std::string out = "[";
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i > 0) out += (style / 2) % 2 == 0 ? "," : ", ";
        append_element(out, values[i], style);
    }
    return out + "]";
}

std::string_view at_pointer(std::string_view source, std::string_view pointer) {
    JsonCursor cursor(source);
    while (!pointer.empty()) {
        const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
        const std::string_view token = pointer.substr(0, end);
        pointer.remove_prefix(end);
        bool first = true;
        bool found = false;
        if (cursor.kind() == JsonCursor::Kind::object && cursor.enter()) {
            std::string_view key;
            while (!found && cursor.next_member(first, key)) {
                found = pointer_token(key) == token;
                if (!found) cursor.skip();
            }
        } else if (cursor.kind() == JsonCursor::Kind::array && cursor.enter()) {
            for (std::size_t i = 0; !found && cursor.next_element(first); ++i) {
                found = token.substr(1) == std::to_string(i);
                if (!found) cursor.skip();
            }
        }
        if (!found) return {};
    }
    cursor.kind();
    const std::size_t begin = cursor.offset();
    cursor.skip();
    return cursor.ok() ? source.substr(begin, cursor.offset() - begin) : std::string_view();
}

std::string best_text(std::string_view object) {
    static constexpr std::array<std::string_view, 5> kNames = {"text", "content", "body", "passage",
                                                               "chunk"};
    JsonCursor cursor(object);
    std::string best;
    std::size_t best_name = kNames.size();
    bool first = true;
    std::string_view key;
    if (cursor.kind() != JsonCursor::Kind::object || !cursor.enter()) return best;
    while (cursor.next_member(first, key)) {
        if (cursor.kind() != JsonCursor::Kind::string) {
            cursor.skip();
            continue;
        }
        std::string text = unescape(cursor.string());
        const auto name =
            static_cast<std::size_t>(std::find(kNames.begin(), kNames.end(), key) - kNames.begin());
        if (name < best_name || (name == best_name && text.size() > best.size())) {
            best_name = name;
            best = std::move(text);
        }
    }
    return best;
}

}  // namespace penstock::io
