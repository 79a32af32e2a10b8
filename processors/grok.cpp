#include <algorithm>
#include <memory>

#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/grok/expression.h"
#include "processors/number_text.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Result;
using document::Value;
using pipeline::Node;
using pipeline::OptionType;
using text::regex::RubyMatcher;

namespace {

constexpr std::string_view match_index = "_grok_match_index";

Result<Value> not_a_number(std::string_view text) {
    return document::failure("For input string: \"" + std::string(text) + "\"");
}

Result<Value> integer(std::optional<std::int64_t> value, std::string_view text) {
    if (!value) return not_a_number(text);
    return Value::integer(*value);
}

Result<Value> floating(std::optional<double> value, std::string_view text) {
    if (!value && text.empty()) return document::failure("empty String");
    if (!value) return not_a_number(text);
    return Value::floating(*value);
}

/// As Java's Boolean.parseBoolean: what is not true is false.
bool is_true(std::string_view text) {
    constexpr std::string_view lower = "true";
    return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
        return a == b || (a >= 'A' && a <= 'Z' && (a | 0x20) == b);
    });
}

Result<Value> convert(std::string_view text, GrokCaptureType type) {
    switch (type) {
        case GrokCaptureType::int32:
            return integer(parse_java_integer<std::int32_t>(text), text);
        case GrokCaptureType::int64:
            return integer(parse_java_integer<std::int64_t>(text), text);
        case GrokCaptureType::float32:
            return floating(parse_java_float(text), text);
        case GrokCaptureType::float64:
            return floating(parse_java_double(text), text);
        case GrokCaptureType::boolean:
            return Value::boolean(is_true(text));
        case GrokCaptureType::string:
            break;
    }
    return Value::string(text);
}

/// A field that captures go to, with all groups that do.
struct Target {
    /// A name that is no path fails the document that has the capture, as in Elasticsearch.
    Result<FieldPath> path;
    std::vector<std::pair<int, GrokCaptureType>> groups;
};

class GrokProcessor final : public pipeline::Processor {
  public:
    struct Settings {
        FieldPath field;
        bool ignore_missing = false;
        bool trace_match = false;
        bool validate_only = false;
        bool capture_all_matches = true;
        document::AccessPattern access = document::AccessPattern::classic;
    };

    GrokProcessor(Settings settings, GrokExpression expression)
        : settings_(std::move(settings)), expression_(std::move(expression)) {
        for (const GrokCapture& capture : expression_.captures())
            add_target(capture);
    }

    Outcome run(Document& document) const override {
        const auto text = read_text(document, settings_.field, settings_.ignore_missing);
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        RubyMatcher matcher(expression_.pattern(), **text);
        const Result<bool> matches = matcher.find();
        if (!matches) return interrupted(matches.error());
        if (!*matches) {
            return document::failure("Provided Grok expressions do not match field value: [" +
                                     std::string(**text) + "]");
        }
        for (const Target& target : targets_) {
            Outcome outcome = capture(document, matcher, target);
            if (!outcome.is_ok()) return outcome;
        }
        if (settings_.trace_match) trace(document, matcher);
        return Outcome::ok();
    }

  private:
    /// Names that differ in pattern or type alone go to the same field.
    void add_target(const GrokCapture& capture) {
        const auto same = [&](std::size_t i) { return fields_[i] == capture.field; };
        std::size_t at = 0;
        while (at < fields_.size() && !same(at))
            ++at;
        if (at == fields_.size()) {
            fields_.push_back(capture.field);
            targets_.push_back({FieldPath::parse(capture.field, settings_.access), {}});
        }
        for (const int group : capture.groups)
            targets_[at].groups.emplace_back(group, capture.type);
    }

    static Outcome interrupted(document::Failure failure) {
        failure.reason = "grok pattern matching was interrupted: " + failure.reason;
        return failure;
    }

    /// One value, or a list when several groups of the name took part.
    Outcome capture(Document& document, const RubyMatcher& matcher, const Target& target) const {
        Arena& arena = document.arena();
        Value value;
        document::Array* list = nullptr;
        bool any = false;
        for (const auto& [group, type] : target.groups) {
            const std::optional<std::string_view> text = matcher.group(group);
            if (!text) continue;
            const Result<Value> item = convert(*text, type);
            if (!item) return item.error();
            if (any && list == nullptr) {
                list = arena.make<document::Array>();
                list->push_back(value, arena);
            }
            value = *item;
            any = true;
            if (list != nullptr) list->push_back(value, arena);
            if (!settings_.capture_all_matches) break;
        }
        if (!any || settings_.validate_only) return Outcome::ok();
        if (!target.path) return target.path.error();
        return document.set(*target.path, list == nullptr ? value : Value::array(list));
    }

    void trace(Document& document, const RubyMatcher& matcher) const {
        const std::vector<int>& groups = expression_.alternative_groups();
        const auto taken = std::find_if(groups.begin(), groups.end(),
                                        [&](int group) { return matcher.group(group); });
        const std::string index =
            std::to_string(taken == groups.end() ? 0 : taken - groups.begin());
        document.set_ingest(match_index, Value::string(index, document.arena()));
    }

    Settings settings_;
    GrokExpression expression_;
    std::vector<std::string> fields_;  // of the targets
    std::vector<Target> targets_;
};

bool read_definitions(const pipeline::Config& config, GrokPatternBank& bank) {
    if (!config.has("pattern_definitions")) return true;
    bool good = true;
    for (const Node::Entry& entry : config.node("pattern_definitions").entries) {
        if (entry.value.is_string()) {
            bank.define(entry.key, entry.value.text);
            continue;
        }
        config.error_at(entry.value, "[pattern_definitions] the pattern [" + entry.key +
                                         "] expects a string, found " + entry.value.describe());
        good = false;
    }
    return good;
}

std::vector<std::string> read_patterns(const pipeline::Config& config) {
    std::vector<std::string> patterns;
    for (const Node& item : config.node("patterns").items) {
        if (item.is_string()) {
            patterns.push_back(item.text);
            continue;
        }
        config.error_at(item, "[patterns] expects strings, found " + item.describe());
        return {};
    }
    if (patterns.empty()) config.error("patterns", "[patterns] List of patterns must not be empty");
    return patterns;
}

void report(const pipeline::Config& config, std::string_view option,
            const std::vector<std::string>& patterns, const Error& error) {
    std::string list;
    for (const std::string& pattern : patterns)
        list += (list.empty() ? "" : ", ") + pattern;
    config.error(option,
                 "[patterns] Invalid regex pattern found in: [" + list + "]. " + error.what());
}

pipeline::StepBody compile(const pipeline::Config& config) {
    GrokPatternBank bank(config.string("ecs_compatibility") == "v1" ? GrokSet::v1
                                                                    : GrokSet::disabled);
    const bool good = read_definitions(config, bank);
    const std::vector<std::string> patterns = read_patterns(config);
    if (!good || patterns.empty()) return pipeline::ProcessorPtr();
    try {
        bank.check();
    } catch (const Error& error) {
        report(config, "pattern_definitions", patterns, error);
        return pipeline::ProcessorPtr();
    }
    GrokProcessor::Settings settings;
    settings.field = config.path("field");
    settings.ignore_missing = config.flag("ignore_missing");
    settings.trace_match = config.flag("trace_match");
    settings.validate_only = config.flag("validate_only");
    settings.capture_all_matches = config.flag("capture_all_matches");
    settings.access = config.access();
    try {
        auto expression = GrokExpression::compile(patterns, bank, settings.trace_match);
        return std::make_unique<GrokProcessor>(std::move(settings), std::move(expression));
    } catch (const Error& error) {
        report(config, "patterns", patterns, error);
        return pipeline::ProcessorPtr();
    }
}

}  // namespace

pipeline::ProcessorSpec grok() {
    return {
        .name = "grok",
        .summary = "Takes fields out of a text with named regular expressions.",
        .description =
            "`%{NAME}` stands for the pattern of that name, `%{NAME:field}` captures what it "
            "matches, `%{NAME:field:type}` as an `int`, `long`, `float`, `double` or `boolean` "
            "(any "
            "other type is a string); `(?<field>...)` captures too. `GET "
            "_ingest/processor/grok` lists the names. A field that captures more than once becomes "
            "a list.\n\n"
            "The patterns are one alternation: the match that begins leftmost is taken, and of "
            "several that begin at the same place the first. The syntax is Ruby's, as Oniguruma "
            "reads it: `^` and `$` are at every line, `.` is no newline unless `(?m)` is given.\n\n"
            "A match that takes more than ten million steps back (some tenths of a second; "
            "Elasticsearch stops after a second) fails the document. When several `grok` in a "
            "pipeline have `trace_match`, the last one's number stays; Elasticsearch fails there.",
        .options =
            {
                pipeline::field_option("The text."),
                {.name = "patterns",
                 .type = OptionType::list,
                 .doc = "The expressions to match.",
                 .required = true},
                {.name = "pattern_definitions",
                 .type = OptionType::object,
                 .doc = "Patterns of your own by name; they replace those that come with the "
                        "program."},
                {.name = "ecs_compatibility",
                 .type = OptionType::enumeration,
                 .doc = "Whether the patterns that come with the program name fields as the "
                        "Elastic Common Schema does.",
                 .default_value = "disabled",
                 .values = {"disabled", "v1"}},
                pipeline::flag_option("trace_match",
                                      "Write the number of the pattern that matched, as a string, "
                                      "to `_ingest._grok_match_index`.",
                                      false),
                pipeline::flag_option("validate_only",
                                      "Fail when nothing matches, but write no field.", false),
                pipeline::flag_option("capture_all_matches",
                                      "A name that captures more than once gives a list, as in "
                                      "Elasticsearch 8; false: the first capture, as in "
                                      "Elasticsearch 7, and in OpenSearch unless it says true.",
                                      true),
                pipeline::ignore_missing_option(),
            },
        .examples =
            {
                {.options = R"yaml({field: message, patterns: ["%{IP:client} %{WORD:method} )yaml"
                            R"yaml(%{NUMBER:bytes:int}"]})yaml",
                 .in = R"({"message":"55.3.244.1 GET 15824"})",
                 .out = R"({"message":"55.3.244.1 GET 15824","client":"55.3.244.1","method":"GET",)"
                        R"("bytes":15824})"},
                {.options = R"yaml({field: message, patterns: ["%{DOG:pet}", "%{CAT:pet}"], )yaml"
                            R"yaml(pattern_definitions: {DOG: beagle, CAT: burmese}})yaml",
                 .in = R"({"message":"I love burmese cats!"})",
                 .out = R"({"message":"I love burmese cats!","pet":"burmese"})",
                 .title = "Patterns of one's own"},
                {.options = R"yaml({field: message, patterns: ["^%{INT:number}$"]})yaml",
                 .in = R"({"message":"none"})",
                 .fails = "Provided Grok expressions do not match field value: [none]"},
            },
        .compile = compile,
    };
}

}  // namespace penstock::processors
