#include "engine/pipeline/spec.h"

#include <algorithm>
#include <set>

#include "engine/pipeline/definition.h"
#include "engine/pipeline/option_check.h"

namespace penstock::pipeline {

namespace {

bool is_name(std::string_view text) {
    auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
    return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
        return letter(c) || (c >= '0' && c <= '9') || c == '_';
    });
}

[[noreturn]] void refuse(const ProcessorSpec& spec, const std::string& what) {
    throw Error("processor [" + spec.name + "] cannot be added: " + what);
}

std::set<std::string> option_names(const ProcessorSpec& spec) {
    std::set<std::string> names;
    for (const OptionSpec& option : common_options())
        names.insert(option.name);
    auto add = [&](const std::string& name) {
        if (!is_name(name)) refuse(spec, "[" + name + "] is not an option's name");
        if (!names.insert(name).second) refuse(spec, "option [" + name + "] is declared twice");
    };
    for (const OptionSpec& option : spec.options) {
        add(option.name);
        for (const std::string& alias : option.aliases)
            add(alias);
    }
    return names;
}

void check_option(const ProcessorSpec& spec, const OptionSpec& option) {
    if ((option.type == OptionType::enumeration) == option.values.empty()) {
        refuse(spec,
               "option [" + option.name + "] must list its values, and only as an enumeration");
    }
    std::string problem;
    default_node(option, problem);
    if (!problem.empty()) refuse(spec, "the default of " + problem);
}

}  // namespace

std::string_view type_name(OptionType type) {
    switch (type) {
        case OptionType::string:
            return "string";
        case OptionType::boolean:
            return "boolean";
        case OptionType::integer:
            return "integer";
        case OptionType::number:
            return "number";
        case OptionType::enumeration:
            return "enumeration";
        case OptionType::field:
            return "field";
        case OptionType::strings:
            return "string or list of strings";
        case OptionType::list:
            return "list";
        case OptionType::object:
            return "map";
        case OptionType::any:
            return "any value";
        case OptionType::regex:
            return "regular expression";
        case OptionType::processor:
            return "processor";
    }
    return {};
}

const std::vector<OptionSpec>& common_options() {
    static const std::vector<OptionSpec> options = {
        {.name = "if",
         .type = OptionType::string,
         .doc = "Condition: run only on documents for which it is true. Not available in this "
                "version: a pipeline with conditions is refused."},
        {.name = "tag",
         .type = OptionType::string,
         .doc = "Name of this step in statistics, failures and messages."},
        {.name = "description",
         .type = OptionType::string,
         .doc = "What the step is for; not used otherwise."},
        {.name = "ignore_failure",
         .type = OptionType::boolean,
         .doc = "Go on with the next processor when this one fails.",
         .default_value = "false"},
        {.name = "on_failure",
         .type = OptionType::list,
         .doc = "Processors to run when this one fails; then the pipeline goes on. Not empty."},
    };
    return options;
}

bool is_common_option(std::string_view name) {
    const auto& common = common_options();
    return std::any_of(common.begin(), common.end(),
                       [&](const OptionSpec& option) { return option.name == name; });
}

void Catalog::add(ProcessorSpec spec) {
    if (!is_name(spec.name))
        refuse(spec, "the name must be lower-case letters, digits and underscores");
    if (specs_.contains(spec.name)) refuse(spec, "there is one of that name already");
    std::set<std::string> names = option_names(spec);
    for (const OptionSpec& option : spec.options)
        check_option(spec, option);
    for (const auto* sets : {&spec.exactly_one_of, &spec.at_most_one_of}) {
        for (const auto& set : *sets) {
            for (const std::string& name : set) {
                if (!names.contains(name))
                    refuse(spec, "option [" + name + "] of a set of options is not declared");
            }
        }
    }
    std::string name = spec.name;
    specs_.emplace(std::move(name), std::move(spec));
}

const ProcessorSpec* Catalog::find(std::string_view name) const {
    auto found = specs_.find(name);
    return found == specs_.end() ? nullptr : &found->second;
}

OptionSpec field_option(std::string doc, bool templated) {
    return {.name = "field",
            .type = OptionType::field,
            .doc = std::move(doc),
            .required = true,
            .templated = templated};
}

OptionSpec target_field_option(std::string default_doc) {
    return {.name = "target_field",
            .type = OptionType::field,
            .doc = "Field that gets the result; without it the one in `" + default_doc +
                   "`, in place."};
}

OptionSpec ignore_missing_option(bool default_value) {
    return flag_option(
        "ignore_missing",
        "Leave the document as it is, without a failure, when the field is absent or null.",
        default_value);
}

OptionSpec flag_option(std::string name, std::string doc, bool default_value) {
    return {.name = std::move(name),
            .type = OptionType::boolean,
            .doc = std::move(doc),
            .default_value = default_value ? "true" : "false"};
}

OptionSpec string_option(std::string name, std::string doc, bool required) {
    return {.name = std::move(name),
            .type = OptionType::string,
            .doc = std::move(doc),
            .required = required};
}

}  // namespace penstock::pipeline
