#include <algorithm>
#include <charconv>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

/// What stands in `%{...}`.
struct Key {
    enum class Kind : std::uint8_t { plain, skip, append, name, value };

    Kind kind = Kind::plain;
    std::string text;       // without modifiers
    bool pads = false;      // `->`
    int order = unordered;  // of `+key/n`

    static constexpr int unordered = -1;
    static constexpr int last_order = 32767;
};

[[noreturn]] void refuse_key(std::string_view key, std::string_view reason) {
    throw Error("Unable to parse key: " + std::string(key) + " Reason: " + std::string(reason));
}

Key::Kind kind_of(char modifier) {
    switch (modifier) {
        case '?':
            return Key::Kind::skip;
        case '*':
            return Key::Kind::name;
        case '&':
            return Key::Kind::value;
        default:
            return Key::Kind::append;
    }
}

/// Takes `/n` off the end of `name`; false when there is no such thing.
bool take_order(std::string_view written, std::string_view& name, int& order) {
    std::size_t slash = name.rfind('/');
    std::string_view digits = name.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), order);
    if (digits.starts_with('-') || end != digits.data() + digits.size()) return false;
    if (error == std::errc::invalid_argument) return false;
    if (error != std::errc() || order > Key::last_order)
        refuse_key(written, "the order is at most " + std::to_string(Key::last_order));
    name = name.substr(0, slash);
    return true;
}

/// The grammar is Elasticsearch's DissectKey: one modifier, or `+` with `/`; what stands before the
/// modifier is ignored.
Key parse_key(std::string_view written) {
    constexpr std::string_view modifiers = "/+*&?";
    Key key;
    std::string_view name = written;
    std::size_t first = name.find_first_of(modifiers);
    if (first != std::string_view::npos) {
        std::string_view others = name.substr(first + 1);
        std::size_t second = others.find_first_of(modifiers);
        bool ordered = second != std::string_view::npos;
        if (ordered && (written[first] != '+' || others[second] != '/' ||
                        others.find_first_of(modifiers, second + 1) != std::string_view::npos)) {
            refuse_key(written, "multiple modifiers are not allowed.");
        }
        key.kind = kind_of(written[first]);
        name = others;
        if (name.ends_with("->")) name.remove_suffix(2);
        bool understood = ordered ? take_order(written, name, key.order) : written[first] != '/';
        if (!understood) refuse_key(written, "The key name could not be determined");
    } else if (name.ends_with("->")) {
        name.remove_suffix(2);
    }
    key.pads = written.ends_with("->");
    key.text = name;
    if (key.text.empty() && key.kind == Key::Kind::plain) key.kind = Key::Kind::skip;
    if (key.text.empty() && key.kind != Key::Kind::skip)
        refuse_key(written, "The key name could not be determined");
    return key;
}

/// A key and the text behind it; only the last key may have none, and then takes the rest.
struct Piece {
    Key key;
    std::string delimiter;
};

/// A delimiter has at least one character, so that `%{a}%{b}` is a key a and the delimiter "%{b}".
std::vector<Piece> parse_pieces(std::string_view pattern, std::size_t begin) {
    std::vector<Piece> pieces;
    while (begin != std::string_view::npos) {
        std::size_t end = pattern.find('}', begin);
        if (end == std::string_view::npos) break;
        std::size_t next = pattern.find("%{", end + 2);
        std::size_t delimiter_end = std::min(next, pattern.size());
        pieces.push_back({parse_key(pattern.substr(begin + 2, end - begin - 2)),
                          std::string(pattern.substr(end + 1, delimiter_end - end - 1))});
        begin = next;
    }
    return pieces;
}

/// Where the first key begins. Text before it with a line end in it is no delimiter: the reference
/// does not look at it.
std::string_view leading_delimiter(std::string_view pattern) {
    std::string_view leading = pattern.substr(0, std::min(pattern.find("%{"), pattern.size()));
    return leading.find_first_of("\r\n") == std::string_view::npos ? leading : std::string_view();
}

/// How to cut a text: everything that does not depend on the document.
struct Layout {
    struct Step {
        std::string delimiter;
        bool pads;
    };
    /// A field with the steps whose texts are joined in it; mostly one.
    struct Target {
        std::string name;
        std::vector<std::uint32_t> steps;
    };
    /// `*key` and `&key`: the steps that find the field's name and its value.
    struct Reference {
        std::uint32_t name;
        std::uint32_t value;
    };

    std::string pattern;
    std::string leading;
    std::vector<Step> steps;
    std::vector<Target> targets;
    std::vector<Reference> references;
    std::size_t results = 0;  // fields that a match makes

    bool match(std::string_view text, std::span<std::string_view> values) const;
    bool has_all_results(std::span<const std::string_view> values) const;
};

[[noreturn]] void refuse_pattern(std::string_view pattern, const std::string& reason) {
    throw Error("Unable to parse pattern: " + std::string(pattern) + " Reason: " + reason);
}

/// Texts of appended keys are joined in the order of their numbers, after those without.
std::vector<std::uint32_t> joined_steps(const std::vector<Piece>& pieces, std::string_view name) {
    std::vector<std::uint32_t> steps;
    bool appended = false;
    for (std::uint32_t i = 0; i < pieces.size(); ++i) {
        const Key& key = pieces[i].key;
        bool counts = key.kind == Key::Kind::plain || key.kind == Key::Kind::append;
        if (!counts || key.text != name) continue;
        steps.push_back(i);
        appended = appended || key.kind == Key::Kind::append;
    }
    if (!appended) return {steps.back()};
    std::stable_sort(steps.begin(), steps.end(), [&](std::uint32_t a, std::uint32_t b) {
        return pieces[a].key.order < pieces[b].key.order;
    });
    return steps;
}

Layout::Reference reference_of(std::string_view pattern, const std::vector<Piece>& pieces,
                               const std::string& name) {
    std::vector<std::uint32_t> names;
    std::vector<std::uint32_t> values;
    for (std::uint32_t i = 0; i < pieces.size(); ++i) {
        if (pieces[i].key.text != name) continue;
        if (pieces[i].key.kind == Key::Kind::name) names.push_back(i);
        if (pieces[i].key.kind == Key::Kind::value) values.push_back(i);
    }
    if (names.size() != 1 || values.size() != 1) {
        std::string list = name;
        for (std::size_t i = 1; i < names.size() + values.size(); ++i)
            list.append(",").append(name);
        refuse_pattern(pattern, "Found invalid key/reference associations: '" + list +
                                    "' Please ensure each '*<key>' is matched with a matching "
                                    "'&<key>");
    }
    return {names[0], values[0]};
}

/// Throws penstock::Error with Elasticsearch's texts.
Layout compile_layout(const std::string& pattern) {
    Layout layout;
    layout.pattern = pattern;
    layout.leading = leading_delimiter(pattern);
    std::vector<Piece> pieces = parse_pieces(pattern, pattern.find("%{"));
    std::set<std::string_view> fields;
    std::set<std::string_view> references;
    std::set<std::string_view> results;
    for (const Piece& piece : pieces) {
        const Key& key = piece.key;
        layout.steps.push_back({piece.delimiter, key.pads});
        if (key.kind == Key::Kind::skip) continue;
        results.insert(key.text);
        bool refers = key.kind == Key::Kind::name || key.kind == Key::Kind::value;
        if (refers && references.insert(key.text).second)
            layout.references.push_back(reference_of(pattern, pieces, key.text));
        if (!refers && fields.insert(key.text).second)
            layout.targets.push_back({key.text, joined_steps(pieces, key.text)});
    }
    layout.results = results.size();
    if (layout.results == 0) refuse_pattern(pattern, "Unable to find any keys or delimiters.");
    return layout;
}

/// Cuts `text` into one value a step. Repeated delimiters are empty values of the keys that follow,
/// or nothing behind a key with `->`; what follows the last delimiter does not matter. False when a
/// delimiter is missing.
bool Layout::match(std::string_view text, std::span<std::string_view> values) const {
    if (text.size() <= leading.size() || !text.starts_with(leading)) return false;
    std::size_t at = leading.size();
    std::size_t step = 0;
    while (step < steps.size()) {
        const std::string& delimiter = steps[step].delimiter;
        if (delimiter.empty()) {  // the last step
            values[step] = text.substr(at);
            return true;
        }
        std::size_t found = text.find(delimiter, at);
        if (found == std::string_view::npos) return false;
        values[step] = text.substr(at, found - at);
        at = found + delimiter.size();
        while (text.substr(at).starts_with(delimiter)) {
            at += delimiter.size();
            if (steps[step].pads) continue;
            if (step + 1 == steps.size()) break;
            // An empty value between two of this delimiter, whatever the key's own one is.
            values[++step] = text.substr(at, 0);
        }
        ++step;
    }
    return true;
}

/// Whether the names that were found in the text are different from each other and from the others:
/// else there are fewer fields than keys, which is no match.
bool Layout::has_all_results(std::span<const std::string_view> values) const {
    std::size_t found = targets.size();
    for (std::size_t i = 0; i < references.size(); ++i) {
        std::string_view name = values[references[i].name];
        bool known = std::any_of(targets.begin(), targets.end(),
                                 [&](const Target& target) { return target.name == name; });
        for (std::size_t j = 0; j < i && !known; ++j)
            known = values[references[j].name] == name;
        found += !known;
    }
    return found == results;
}

/// The texts of `steps` with `separator` between them.
Value joined(const std::vector<std::uint32_t>& steps, std::span<const std::string_view> values,
             std::string_view separator, Arena& arena) {
    if (steps.size() == 1) return Value::string(values[steps[0]]);
    std::size_t size = separator.size() * (steps.size() - 1);
    for (std::uint32_t step : steps)
        size += values[step].size();
    char* text = arena.allocate_array<char>(size);
    char* end = text;
    auto add = [&end](std::string_view part) { end = std::copy(part.begin(), part.end(), end); };
    for (std::uint32_t step : steps) {
        if (step != steps[0]) add(separator);
        add(values[step]);
    }
    return Value::string({text, size});
}

class Dissect final : public pipeline::Processor {
  public:
    Dissect(FieldPath field, Layout layout, std::vector<FieldPath> targets, std::string separator,
            document::AccessPattern access, bool ignore_missing)
        : field_(std::move(field)),
          layout_(std::move(layout)),
          targets_(std::move(targets)),
          separator_(std::move(separator)),
          access_(access),
          ignore_missing_(ignore_missing) {}

    Outcome run(Document& document) const override {
        auto text = read_text(document, field_, ignore_missing_);
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        std::size_t count = layout_.steps.size();
        std::span values(document.arena().allocate_array<std::string_view>(count), count);
        if (!layout_.match(**text, values) || !layout_.has_all_results(values)) {
            return document::failure(
                "Unable to find match for dissect pattern: " + layout_.pattern +
                    " against source: " + std::string(**text),
                document::FailureType::dissect);
        }
        return write(document, values);
    }

  private:
    /// The values are parts of the field's text, which stays where it is.
    Outcome write(Document& document, std::span<const std::string_view> values) const {
        for (std::size_t i = 0; i < targets_.size(); ++i) {
            Value value = joined(layout_.targets[i].steps, values, separator_, document.arena());
            Outcome outcome = document.set(targets_[i], value);
            if (!outcome.is_ok()) return outcome;
        }
        for (const Layout::Reference& reference : layout_.references) {
            auto path = FieldPath::parse(values[reference.name], access_);
            if (!path) return path.error();
            Outcome outcome = document.set(*path, Value::string(values[reference.value]));
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

    FieldPath field_;
    Layout layout_;
    std::vector<FieldPath> targets_;  // as layout_.targets
    std::string separator_;
    document::AccessPattern access_;
    bool ignore_missing_;
};

pipeline::StepBody compile(const pipeline::Config& config) {
    Layout layout;
    try {
        layout = compile_layout(config.string("pattern"));
    } catch (const Error& error) {
        config.error("pattern", error.what());
        return std::unique_ptr<pipeline::Processor>();
    }
    std::vector<FieldPath> targets;
    for (const Layout::Target& target : layout.targets)
        targets.push_back(config.parse_path("pattern", target.name));
    return std::make_unique<Dissect>(config.path("field"), std::move(layout), std::move(targets),
                                     config.string("append_separator"), config.access(),
                                     config.flag("ignore_missing"));
}

}  // namespace

pipeline::ProcessorSpec dissect() {
    return {
        .name = "dissect",
        .summary = "Cuts a string into fields at fixed delimiters.",
        .description =
            "The pattern is text with keys in it: `%{key}` takes everything up to the text behind "
            "it, the last key the rest. All delimiters must be found, in their order. A key is a "
            "field path; values are strings. Two delimiters in a row make an empty value.\n\n"
            "| Key | Meaning |\n"
            "| --- | --- |\n"
            "| `%{key->}` | The delimiter behind it may be repeated. |\n"
            "| `%{+key}` | Appended to the other keys of that name, with `append_separator` "
            "between. |\n"
            "| `%{+key/2}` | Appended as the second, wherever it stands. |\n"
            "| `%{?key}`, `%{}` | Matched and left out. |\n"
            "| `%{*key}` with `%{&key}` | What the first finds is the name of a field, what the "
            "second finds its value. |\n\n"
            "A pattern without keys, or with a wrong one, is refused when the pipeline is loaded.",
        .options = {pipeline::field_option("The string."),
                    pipeline::string_option("pattern", "Keys and the delimiters between them.",
                                            true),
                    {.name = "append_separator",
                     .doc = "Stands between values that are appended to each other.",
                     .default_value = "\"\""},
                    pipeline::ignore_missing_option()},
        .examples =
            {{.options = R"yaml({field: message, pattern: "%{client.ip} - %{user} [%{ts}]"})yaml",
              .in = R"({"message":"10.0.0.7 - kim [01/Mar/2026]"})",
              .out =
                  R"({"message":"10.0.0.7 - kim [01/Mar/2026]","client":{"ip":"10.0.0.7"},"user":"kim","ts":"01/Mar/2026"})"},
             {.options =
                  R"yaml({field: m, pattern: "%{level->} %{+at} %{+at} %{}", append_separator: T})yaml",
              .in = R"({"m":"WARN   2026-03-01 12:10 x"})",
              .out = R"({"m":"WARN   2026-03-01 12:10 x","level":"WARN","at":"2026-03-01T12:10"})",
              .title = "Padding, appending, leaving out"},
             {.options = R"yaml({field: m, pattern: "%{*k}=%{&k}"})yaml",
              .in = R"({"m":"port=8080"})",
              .out = R"({"m":"port=8080","port":"8080"})",
              .title = "The name of the field is in the text"},
             {.options = R"yaml({field: m, pattern: "%{a},%{b}"})yaml",
              .in = R"({"m":"x y"})",
              .fails = "Unable to find match for dissect pattern: %{a},%{b} against source: x y"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
