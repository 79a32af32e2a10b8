#include "processors/grok/expression.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "engine/runtime/error.h"

namespace penstock::processors {

using text::regex::RubyPattern;

namespace {

/// Elasticsearch's limit for patterns of patterns, and one for what they come to.
constexpr int most_references = 100'000;
constexpr std::size_t largest_expression = 4 * 1024 * 1024;
constexpr std::string_view too_large = "Can not convert grok patterns to regular expression";

/// Names the group that a numbered alternative is in, as Elasticsearch does.
constexpr std::string_view alternative_prefix = "_ingest._grok_match_index.";

/// %{NAME}, %{NAME:field}, %{NAME:field:type}; each may have =DEFINITION at its end, which nobody
/// reads.
struct Reference {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string_view pattern;  // NAME
    std::string_view whole;    // NAME:field:type
};

/// Elasticsearch writes this class as [A-z0-9].
bool is_name_character(char c) {
    return (c >= 'A' && c <= 'z') || (c >= '0' && c <= '9');
}

/// Behind the letters, digits and @[]_:.- that a field's name may be made of.
std::size_t skip_field(std::string_view text, std::size_t at) {
    while (at < text.size()) {
        if (std::string_view("@[]_:.-").find(text[at]) != std::string_view::npos) {
            ++at;
            continue;
        }
        auto next = static_cast<std::int32_t>(at);
        UChar32 character = 0;
        U8_NEXT(text.data(), next, static_cast<std::int32_t>(text.size()), character);
        if (character < 0 || !u_hasBinaryProperty(character, UCHAR_POSIX_ALNUM)) break;
        at = static_cast<std::size_t>(next);
    }
    return at;
}

/// The reference that begins at `begin`, where %{ is.
std::optional<Reference> reference_at(std::string_view text, std::size_t begin) {
    Reference found;
    found.begin = begin;
    const std::size_t name = begin + 2;
    std::size_t at = name;
    while (at < text.size() && is_name_character(text[at]))
        ++at;
    if (at == name) return std::nullopt;
    found.pattern = text.substr(name, at - name);
    if (at < text.size() && text[at] == ':') {
        const std::size_t end = skip_field(text, at + 1);
        if (end == at + 1) return std::nullopt;
        at = end;
    }
    found.whole = text.substr(name, at - name);
    if (at < text.size() && text[at] == '=') {
        const std::size_t end = text.find_first_of("{}", at + 1);
        if (end == at + 1 || end == text.npos) return std::nullopt;
        at = end;
    }
    if (at >= text.size() || text[at] != '}') return std::nullopt;
    found.end = at + 1;
    return found;
}

std::optional<Reference> next_reference(std::string_view text, std::size_t from) {
    for (auto at = text.find("%{", from); at != text.npos; at = text.find("%{", at + 1)) {
        if (auto found = reference_at(text, at)) return found;
    }
    return std::nullopt;
}

/// Replaces references in patterns, and in what they stand for.
class Expansion {
  public:
    explicit Expansion(const GrokPatternBank& bank) : bank_(bank) {}

    void add(std::string_view text) { out_ += text; }

    /// Patterns nest as deep as they please: the places to come back to are kept here, not on the
    /// machine's stack.
    void add_pattern(std::string_view pattern) {
        std::vector<std::string_view> rest{pattern};
        while (!rest.empty()) {
            const std::string_view text = rest.back();
            rest.pop_back();
            const std::optional<Reference> reference = next_reference(text, 0);
            out_ += text.substr(0, reference ? reference->begin : text.size());
            if (out_.size() > largest_expression) throw Error(std::string(too_large));
            if (!reference) {
                if (!rest.empty()) out_ += ')';
                continue;
            }
            if (++references_ > most_references) throw Error(std::string(too_large));
            open(*reference);
            rest.push_back(text.substr(reference->end));
            rest.push_back(definition(*reference));
        }
    }

    std::string take() { return std::move(out_); }

  private:
    void open(const Reference& reference) {
        const bool named = reference.whole.size() > reference.pattern.size();
        out_ += named ? "(?<" + std::string(reference.whole) + ">" : "(?:";
    }

    std::string_view definition(const Reference& reference) const {
        const std::string_view* found = bank_.find(reference.pattern);
        if (found == nullptr) {
            throw Error("Unable to find pattern [" + std::string(reference.pattern) +
                        "] in Grok's pattern dictionary");
        }
        return *found;
    }

    const GrokPatternBank& bank_;
    std::string out_;
    int references_ = 0;
};

/// The end of a character class that begins at `at`, behind its ]; the text's end when it has none.
std::size_t skip_class(std::string_view text, std::size_t at) {
    int depth = 0;
    while (at < text.size()) {
        const char c = text[at++];
        if (c == '\\') {
            ++at;
        } else if (c == '[') {
            if (depth > 0 && at < text.size() && text[at] == ':') {  // [:alpha:]
                const std::size_t end = text.find(":]", at + 1);
                if (end != text.npos) {
                    at = end + 2;
                    continue;
                }
            }
            ++depth;
            if (at < text.size() && text[at] == '^') ++at;
            if (at < text.size() && text[at] == ']') ++at;  // the first one is a character
        } else if (c == ']' && --depth == 0) {
            return at;
        }
    }
    return text.size();
}

/// Called with the name of a group in an expression; gives what to write in its place.
using Rename = std::function<std::string(std::string_view name, bool definition)>;

/// The expression with the names of groups replaced, where they are defined, (?<name> and
/// (?'name', and where they are used, \k<name> and \g<name>.
std::string rename_groups(std::string_view text, const Rename& rename) {
    std::string out;
    std::size_t at = 0;
    const auto name_at = [&](std::size_t open, bool definition) {
        const char close = text[open] == '<' ? '>' : '\'';
        const std::size_t end = text.find(close, open + 1);
        if (end == text.npos || end == open + 1) return false;
        out += text.substr(at, open + 1 - at);
        out += rename(text.substr(open + 1, end - open - 1), definition);
        at = end;
        return true;
    };
    const auto is_opener = [&](std::size_t i) {
        return i < text.size() && (text[i] == '<' || text[i] == '\'');
    };
    while (at < text.size()) {
        const std::string_view rest = text.substr(at);
        if (rest[0] == '\\') {
            const bool used = rest.size() > 1 && (rest[1] == 'k' || rest[1] == 'g');
            if (used && is_opener(at + 2) && name_at(at + 2, false)) continue;
            out += rest.substr(0, 2);
            at += 2;
        } else if (rest[0] == '[') {
            const std::size_t end = skip_class(text, at);
            out += text.substr(at, end - at);
            at = end;
        } else if (rest.starts_with("(?") && is_opener(at + 2) && !rest.starts_with("(?<=") &&
                   !rest.starts_with("(?<!") && name_at(at + 2, true)) {
            continue;
        } else {
            out += rest[0];
            ++at;
        }
    }
    return out;
}

GrokCaptureType capture_type(std::string_view name) {
    if (name == "int") return GrokCaptureType::int32;
    if (name == "long") return GrokCaptureType::int64;
    if (name == "float") return GrokCaptureType::float32;
    if (name == "double") return GrokCaptureType::float64;
    if (name == "boolean") return GrokCaptureType::boolean;
    return GrokCaptureType::string;
}

/// NAME:field:type, or the name of a group that was written out. As Java's String.split, without
/// empty parts at the end.
GrokCapture capture_of(std::string_view name) {
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at <= name.size();) {
        const std::size_t end = std::min(name.find(':', at), name.size());
        parts.push_back(name.substr(at, end - at));
        at = end + 1;
    }
    while (parts.size() > 1 && parts.back().empty())
        parts.pop_back();
    GrokCapture capture;
    capture.field = parts.size() >= 2 ? parts[1] : parts[0];
    if (parts.size() == 3) capture.type = capture_type(parts[2]);
    return capture;
}

/// joni, which Elasticsearch uses, takes any name that begins with a word's character; Oniguruma
/// wants all of it so. Groups are therefore numbered, the same name the same number.
class Names {
  public:
    /// For a definition.
    std::string add(std::string_view name) {
        check(name);
        const auto found = std::find(names_.begin(), names_.end(), name);
        const auto number = found - names_.begin();
        if (found == names_.end()) names_.emplace_back(name);
        return group(static_cast<std::size_t>(number));
    }
    /// For a use; Oniguruma says what it thinks of a name that nobody defines.
    std::string use(std::string_view name) const {
        const auto found = std::find(names_.begin(), names_.end(), name);
        if (found == names_.end()) return std::string(name);
        return group(static_cast<std::size_t>(found - names_.begin()));
    }
    static std::string group(std::size_t number) { return "g" + std::to_string(number); }
    const std::vector<std::string>& all() const { return names_; }

  private:
    static void check(std::string_view name) {
        std::int32_t next = 0;
        UChar32 first = 0;
        U8_NEXT(name.data(), next, static_cast<std::int32_t>(name.size()), first);
        const std::string shown = "<" + std::string(name) + ">";
        if (first >= 0 && u_isdigit(first)) throw Error("invalid group name " + shown);
        if (first != '_' && (first < 0 || !u_hasBinaryProperty(first, UCHAR_POSIX_ALNUM)))
            throw Error("invalid char in group name " + shown);
    }

    std::vector<std::string> names_;
};

}  // namespace

std::string expand_grok(const std::vector<std::string>& patterns, const GrokPatternBank& bank,
                        bool number_alternatives) {
    Expansion expansion(bank);
    if (patterns.size() == 1) {  // there is nothing to number
        expansion.add_pattern(patterns[0]);
        return expansion.take();
    }
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        if (i > 0) expansion.add("|");
        if (number_alternatives) {
            expansion.add("(?<" + std::string(alternative_prefix) + std::to_string(i) + ">");
        } else {
            expansion.add("(?:");
        }
        expansion.add_pattern(patterns[i]);
        expansion.add(")");
    }
    return expansion.take();
}

GrokExpression GrokExpression::compile(const std::vector<std::string>& patterns,
                                       const GrokPatternBank& bank, bool number_alternatives) {
    const std::string expanded = expand_grok(patterns, bank, number_alternatives);
    Names names;
    // Twice, because a group may be used before it is defined.
    rename_groups(expanded, [&](std::string_view name, bool definition) {
        return definition ? names.add(name) : std::string();
    });
    const std::string regex =
        rename_groups(expanded, [&](std::string_view name, bool) { return names.use(name); });
    GrokExpression expression(RubyPattern::compile(regex));
    for (std::size_t i = 0; i < names.all().size(); ++i) {
        std::vector<int> groups = expression.pattern_.groups(Names::group(i));
        if (number_alternatives && names.all()[i].starts_with(alternative_prefix)) {
            expression.alternative_groups_.push_back(groups.at(0));
        } else {
            expression.captures_.push_back(capture_of(names.all()[i]));
            expression.captures_.back().groups = std::move(groups);
        }
    }
    return expression;
}

}  // namespace penstock::processors
