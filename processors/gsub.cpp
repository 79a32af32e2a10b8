#include <memory>

#include "engine/runtime/error.h"
#include "engine/text/regex/replacement.h"
#include "processors/builtin.h"
#include "processors/string_processor.h"

namespace penstock::processors {

using document::Arena;
using document::Result;
using document::Value;
using text::regex::Pattern;
using text::regex::Replacement;

namespace {

struct Substitution {
    Pattern pattern;
    Replacement replacement;

    Result<Value> apply(std::string_view text, Arena& arena) const {
        std::string changed;
        Result<bool> any = text::regex::replace_all(pattern, replacement, text, changed);
        if (!any) return any.error();
        return *any ? Value::string(changed, arena) : Value::string(text);
    }
};

pipeline::StepBody nothing() {
    return std::unique_ptr<pipeline::Processor>();
}

pipeline::StepBody compile(const pipeline::Config& config) {
    std::optional<Pattern> pattern;
    try {
        pattern = Pattern::compile(config.string("pattern"));
    } catch (const Error& error) {
        config.error("pattern", std::string("[pattern] Invalid regex pattern. ") + error.what());
        return nothing();
    }
    try {
        Replacement replacement = Replacement::compile(config.string("replacement"), *pattern);
        // Shared by the copies of the std::function, all within this one step.
        auto substitution = std::make_shared<const Substitution>(
            Substitution{std::move(*pattern), std::move(replacement)});
        return make_string_processor(config, [substitution](std::string_view text, Arena& arena) {
            return substitution->apply(text, arena);
        });
    } catch (const Error& error) {
        config.error("replacement", std::string("[replacement] ") + error.what());
        return nothing();
    }
}

}  // namespace

pipeline::ProcessorSpec gsub() {
    return {
        .name = "gsub",
        .summary = "Replaces every match of a regular expression.",
        .description =
            "Pattern and replacement are written as in Java: `$1` and `${name}` insert groups, "
            "`\\$` is a dollar sign. "
            "Both are checked when the pipeline is loaded. A list is changed element by element. A "
            "pattern that needs "
            "more than a million steps on one text fails the document.",
        .options = string_processor_options(
            {{.name = "pattern",
              .type = pipeline::OptionType::regex,
              .doc = "The regular expression to look for.",
              .required = true},
             pipeline::string_option("replacement", "What stands in its place; may be empty.",
                                     true)}),
        .examples =
            {{R"yaml({field: ip, pattern: "\\.", replacement: "-"})yaml", R"({"ip":"127.0.0.1"})",
              R"({"ip":"127-0-0-1"})"},
             {R"yaml({field: tz, pattern: "([+-]\\d\\d)(\\d\\d)", replacement: "$1:$2"})yaml",
              R"({"tz":"+0530"})", R"({"tz":"+05:30"})", "", "Groups in the replacement"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
