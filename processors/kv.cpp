#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/document/utf8.h"
#include "engine/runtime/error.h"
#include "engine/text/regex/replacement.h"
#include "processors/builtin.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Result;
using document::Value;
using text::regex::Matcher;
using text::regex::Pattern;
using text::regex::Replacement;

namespace {

/// Bytes of the line end that Java's `$` may stand before.
std::size_t line_end_size(std::string_view text) {
    for (std::string_view end : {"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"}) {
        if (text.ends_with(end)) return end.size();
    }
    return 0;
}

/// `text` without what is between `from` and `to`.
std::string_view without(std::string_view text, std::size_t from, std::size_t to, Arena& arena) {
    if (from == to) return text;
    if (to == text.size()) return text.substr(0, from);
    return arena.copy(std::string(text.substr(0, from)).append(text.substr(to)));
}

/// One bracket or quote off each end, paired or not.
std::string_view strip_brackets(std::string_view text, Arena& arena) {
    constexpr std::string_view opening = "([<\"'";
    constexpr std::string_view closing = "])>\"'";
    if (!text.empty() && opening.find(text.front()) != std::string_view::npos)
        text.remove_prefix(1);
    auto closes = [&](std::size_t size) {
        return size > 0 && closing.find(text[size - 1]) != std::string_view::npos;
    };
    if (closes(text.size())) return text.substr(0, text.size() - 1);
    std::size_t size = text.size() - line_end_size(text);
    return closes(size) ? without(text, size - 1, size, arena) : text;
}

/// The characters that `trim_key` and `trim_value` name: the inside of a character class, which is
/// what Elasticsearch makes of them.
class CharacterClass {
  public:
    /// Throws penstock::Error.
    explicit CharacterClass(const std::string& inside)
        : pattern_(Pattern::compile("[" + inside + "]")) {
        for (std::size_t i = 0; i < ascii_.size(); ++i) {
            char c = static_cast<char>(i);
            ascii_[i] = matches({&c, 1});
        }
    }

    bool contains(std::string_view character) const {
        auto first = static_cast<unsigned char>(character.front());
        return first < ascii_.size() ? ascii_[first] : matches(character);
    }

  private:
    bool matches(std::string_view character) const {
        Result<bool> found = Matcher(pattern_, character).find();
        return found && *found;
    }

    Pattern pattern_;
    std::array<bool, 128> ascii_{};
};

/// Takes characters off both ends of a text.
class Trimmer {
  public:
    /// Trims nothing.
    Trimmer() = default;
    /// Throws penstock::Error.
    explicit Trimmer(const std::string& inside)
        : pattern_(Pattern::compile("(^([" + inside + "]+))|([" + inside + "]+$)")) {
        // Brackets may end the class and && intersects: such text is left to the whole pattern.
        bool simple = inside.find_first_of("[]&") == std::string::npos &&
                      inside.find("\\Q") == std::string::npos;
        if (simple) class_.emplace(inside);
    }

    Result<std::string_view> trim(std::string_view text, Arena& arena) const {
        if (!pattern_) return text;
        if (class_) return trim_class(text, arena);
        std::string changed;
        Result<bool> any = text::regex::replace_all(*pattern_, Replacement(), text, changed);
        if (!any) return any.error();
        return *any ? arena.copy(changed) : text;
    }

  private:
    std::string_view trim_class(std::string_view text, Arena& arena) const {
        while (!text.empty()) {
            std::size_t size = std::max<std::size_t>(document::utf8_length(text), 1);
            if (!class_->contains(text.substr(0, size))) break;
            text.remove_prefix(size);
        }
        std::size_t kept = trimmed_size(text, text.size());
        if (kept < text.size()) return text.substr(0, kept);
        std::size_t line_end = text.size() - line_end_size(text);
        return without(text, trimmed_size(text, line_end), line_end, arena);
    }

    /// How much of the first `size` bytes remains without the trailing characters of the class.
    std::size_t trimmed_size(std::string_view text, std::size_t size) const {
        while (size > 0) {
            std::size_t begin = size - 1;
            while (begin > 0 && (text[begin] & 0xC0) == 0x80)
                --begin;
            if (!class_->contains(text.substr(begin, size - begin))) break;
            size = begin;
        }
        return size;
    }

    std::optional<Pattern> pattern_;
    std::optional<CharacterClass> class_;
};

/// So that a part of a text is looked up without a copy.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
        return std::hash<std::string_view>()(text);
    }
};
using Keys = std::unordered_set<std::string, TextHash, std::equal_to<>>;

/// Which keys become fields.
class KeyFilter {
  public:
    KeyFilter() = default;
    KeyFilter(std::optional<std::vector<std::string>> included,
              const std::vector<std::string>& excluded)
        : excluded_(excluded.begin(), excluded.end()) {
        if (included) included_.emplace(included->begin(), included->end());
    }

    /// The keys named to be included.
    Keys named() const { return included_.value_or(Keys()); }
    bool passes(std::string_view key) const {
        if (included_ && !included_->contains(key)) return false;
        return excluded_.empty() || !excluded_.contains(key);
    }

  private:
    std::optional<Keys> included_;
    Keys excluded_;
};

/// The options, prepared.
struct Options {
    script::FieldTemplate field;
    script::Template target;  // of the field above the keys; none when it is empty
    std::string prefix;
    Pattern field_split;
    Pattern value_split;
    KeyFilter keys;
    Trimmer key_trimmer;
    Trimmer value_trimmer;
    bool strip_brackets;
    bool ignore_missing;
    document::AccessPattern access;
};

class KeyValue final : public pipeline::Processor {
  public:
    explicit KeyValue(Options options) : options_(std::move(options)) {
        if (!options_.target.is_constant()) return;
        constant_prefix_ = path_prefix(options_.target.text());
        for (const std::string& key : options_.keys.named()) {
            auto path = FieldPath::parse(constant_prefix_ + key, options_.access);
            if (path && options_.keys.passes(key)) paths_.emplace(key, std::move(*path));
        }
    }

    Outcome run(Document& document) const override {
        FieldPath scratch;
        auto field = options_.field.resolve(document, scratch);
        if (!field) return options_.ignore_missing ? Outcome::ok() : Outcome(field.error());
        const Value* found = document.find(**field);
        if (found == nullptr) return missing(document, **field);
        auto text =
            read_text(document, **field, found, options_.ignore_missing, "extract key-value pairs");
        if (!text) return text.error();
        return *text ? extract(document, **field, **text) : Outcome::ok();
    }

  private:
    Outcome missing(const Document& document, const FieldPath& field) const {
        if (is_out_of_bounds(document, field)) return document.get(field).error();
        if (options_.ignore_missing) return Outcome::ok();
        return document::failure("field [" + field.text() + "] doesn't exist");
    }

    std::string path_prefix(const std::string& target) const {
        return target.empty() ? options_.prefix : target + "." + options_.prefix;
    }

    /// What a key is appended to. `path` keeps its memory from key to key.
    struct Writer {
        Document& document;
        std::string path;
        std::size_t prefix_size;
    };

    Writer writer_for(Document& document) const {
        std::string prefix = constant_prefix_;
        if (!options_.target.is_constant()) {
            std::string target;
            options_.target.render(document, target);
            prefix = path_prefix(target);
        }
        std::size_t size = prefix.size();
        return {document, std::move(prefix), size};
    }

    /// Splits as Java's String.split does: empty parts at the end do not count.
    Outcome extract(Document& document, const FieldPath& field, std::string_view text) const {
        Writer writer = writer_for(document);
        Matcher split(options_.field_split, text);
        std::size_t from = 0;
        bool empty_parts = false;
        for (bool more = true; more;) {
            Result<bool> found = split.find();
            if (!found) return found.error();
            more = *found;
            if (more && split.end() == 0) continue;  // empty, at the start
            std::size_t end = more ? split.begin() : text.size();
            std::string_view part = text.substr(from, end - from);
            if (part.empty() && (more || from > 0)) {
                empty_parts = true;
            } else if (empty_parts) {
                return not_a_pair(field);
            } else {
                Outcome outcome = add(writer, field, part);
                if (!outcome.is_ok()) return outcome;
            }
            if (more) from = split.end();
        }
        return Outcome::ok();
    }

    Outcome not_a_pair(const FieldPath& field) const {
        return document::failure("field [" + field.text() + "] does not contain value_split [" +
                                 options_.value_split.text() + "]");
    }

    Outcome add(Writer& writer, const FieldPath& field, std::string_view part) const {
        Matcher split(options_.value_split, part);
        do {
            Result<bool> found = split.find();
            if (!found) return found.error();
            if (!*found) return not_a_pair(field);
        } while (split.end() == 0);
        Arena& arena = writer.document.arena();
        auto key = options_.key_trimmer.trim(part.substr(0, split.begin()), arena);
        if (!key) return key.error();
        auto prepared = paths_.empty() ? paths_.end() : paths_.find(*key);
        if (prepared == paths_.end() && !options_.keys.passes(*key)) return Outcome::ok();
        std::string_view value = part.substr(split.end());
        if (options_.strip_brackets) value = strip_brackets(value, arena);
        auto trimmed = options_.value_trimmer.trim(value, arena);
        if (!trimmed) return trimmed.error();
        // A part of the field's text, which stays where it is.
        Value taken = Value::string(*trimmed);
        if (prepared != paths_.end()) return write(writer.document, prepared->second, taken);
        writer.path.resize(writer.prefix_size);
        writer.path += *key;
        auto path = FieldPath::parse(writer.path, options_.access);
        return path ? write(writer.document, *path, taken) : Outcome(path.error());
    }

    static Outcome write(Document& document, const FieldPath& path, Value value) {
        return document.has(path) ? document.append(path, value) : document.set(path, value);
    }

    Options options_;
    std::string constant_prefix_;
    /// Of keys that are known beforehand.
    std::unordered_map<std::string, FieldPath, TextHash, std::equal_to<>> paths_;
};

/// Reports at `option` what is wrong with its regular expression.
template <class Make>
auto checked(const pipeline::Config& config, const char* option, const Make& make)
    -> std::optional<decltype(make())> {
    try {
        return make();
    } catch (const Error& error) {
        config.error(option,
                     std::string("[") + option + "] Invalid regex pattern. " + error.what());
        return std::nullopt;
    }
}

std::optional<Pattern> pattern_of(const pipeline::Config& config, const char* option) {
    return checked(config, option, [&] { return Pattern::compile(config.string(option)); });
}

std::optional<Trimmer> trimmer_of(const pipeline::Config& config, const char* option) {
    if (!config.has(option)) return Trimmer();
    return checked(config, option, [&] { return Trimmer(config.string(option)); });
}

KeyFilter filter_of(const pipeline::Config& config) {
    std::optional<std::vector<std::string>> included;
    if (config.has("include_keys")) included = config.strings("include_keys");
    return {std::move(included), config.strings("exclude_keys")};
}

pipeline::StepBody compile(const pipeline::Config& config) {
    std::optional<Pattern> field_split = pattern_of(config, "field_split");
    std::optional<Pattern> value_split = pattern_of(config, "value_split");
    std::optional<Trimmer> key_trimmer = trimmer_of(config, "trim_key");
    std::optional<Trimmer> value_trimmer = trimmer_of(config, "trim_value");
    script::Template target = config.text("target_field");
    // Wrong for every document, whatever its keys.
    if (target.is_constant() && !target.text().empty())
        config.parse_path("target_field", target.text());
    if (!field_split || !value_split || !key_trimmer || !value_trimmer)
        return std::unique_ptr<pipeline::Processor>();
    return std::make_unique<KeyValue>(
        Options{config.field("field"), std::move(target), config.string("prefix"),
                std::move(*field_split), std::move(*value_split), filter_of(config),
                std::move(*key_trimmer), std::move(*value_trimmer), config.flag("strip_brackets"),
                config.flag("ignore_missing"), config.access()});
}

}  // namespace

pipeline::ProcessorSpec kv() {
    return {
        .name = "kv",
        .summary = "Takes key=value pairs out of a string.",
        .description =
            "The string is split into pairs at `field_split`, and each pair into key and value at "
            "the first `value_split`; both are regular expressions. A pair without `value_split` "
            "fails the document. A key is a field path; a key that is there already, in the "
            "document or the string, becomes a list. Values are strings, brackets taken off before "
            "they are trimmed. Keys are included and excluded after they are trimmed and without "
            "their prefix.",
        .options = {pipeline::field_option("The string.", true),
                    {.name = "field_split",
                     .type = pipeline::OptionType::regex,
                     .doc = "What is between pairs.",
                     .required = true},
                    {.name = "value_split",
                     .type = pipeline::OptionType::regex,
                     .doc = "What is between a key and its value.",
                     .required = true},
                    {.name = "target_field",
                     .doc = "The object to write the keys to; the document itself when not given "
                            "or empty.",
                     .templated = true},
                    pipeline::string_option("prefix", "Put in front of every key."),
                    {.name = "include_keys",
                     .type = pipeline::OptionType::strings,
                     .doc = "The keys to take; all when not given."},
                    {.name = "exclude_keys",
                     .type = pipeline::OptionType::strings,
                     .doc = "Keys to leave out."},
                    pipeline::string_option("trim_key",
                                            "Characters to take off both ends of keys, "
                                            "as in a regular expression's brackets."),
                    pipeline::string_option("trim_value", "The same for values."),
                    pipeline::flag_option("strip_brackets",
                                          "Take `(`, `[`, `<`, `\"` and `'` off the beginning of "
                                          "values, and their counterparts off the end.",
                                          false),
                    pipeline::ignore_missing_option()},
        .examples =
            {{.options = R"yaml({field: m, field_split: " ", value_split: "="})yaml",
              .in = R"({"m":"ip=1.2.3.4 error=REFUSED code=7"})",
              .out =
                  R"({"m":"ip=1.2.3.4 error=REFUSED code=7","ip":"1.2.3.4","error":"REFUSED","code":"7"})"},
             {.options =
                  R"yaml({field: q, field_split: "&", value_split: "=", target_field: url, prefix: arg_, exclude_keys: [token]})yaml",
              .in = R"({"q":"tag=a&tag=b&token=x"})",
              .out = R"({"q":"tag=a&tag=b&token=x","url":{"arg_tag":["a","b"]}})",
              .title = "Below a field; a repeated key is a list"},
             {.options =
                  R"yaml({field: m, field_split: ";\\s*", value_split: ":", trim_value: " .", strip_brackets: true})yaml",
              .in = R"({"m":"to:<kim>; note: later."})",
              .out = R"({"m":"to:<kim>; note: later.","to":"kim","note":"later"})",
              .title = "Regular expressions, brackets, trimming"},
             {.options = R"yaml({field: m, field_split: " ", value_split: "="})yaml",
              .in = R"({"m":"a=1 b"})",
              .fails = "field [m] does not contain value_split [=]"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
