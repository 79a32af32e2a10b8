#include "engine/pipeline/reference.h"

#include <algorithm>

#include "engine/document/json.h"
#include "engine/pipeline/option_check.h"

namespace penstock::pipeline {

namespace {

// ---- words that both renderings use -----------------------------------------------------------

std::string joined(const std::vector<std::string>& parts, std::string_view separator,
                   std::string_view quote = "") {
    std::string text;
    for (const std::string& part : parts) {
        if (!text.empty()) text += separator;
        text.append(quote).append(part).append(quote);
    }
    return text;
}

std::string type_text(const OptionSpec& option) {
    std::string text(type_name(option.type));
    if (option.templated) text += ", templates allowed";
    return text;
}

std::string limit_text(double value) {
    std::string text;
    document::append_double(value, text);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return text;
}

/// What the documentation sentence does not say: allowed values, range, older names, version.
std::vector<std::string> remarks(const OptionSpec& option, std::string_view quote) {
    std::vector<std::string> all;
    if (!option.values.empty()) all.push_back("One of " + joined(option.values, ", ", quote) + ".");
    if (option.minimum) all.push_back("At least " + limit_text(*option.minimum) + ".");
    if (option.maximum) all.push_back("At most " + limit_text(*option.maximum) + ".");
    if (!option.aliases.empty())
        all.push_back("Also named " + joined(option.aliases, ", ", quote) + ".");
    if (!option.since.empty()) all.push_back("Since " + option.since + ".");
    return all;
}

std::vector<std::string> set_rules(const ProcessorSpec& spec, std::string_view quote) {
    std::vector<std::string> rules;
    for (const auto& set : spec.exactly_one_of)
        rules.push_back("Exactly one of " + joined(set, ", ", quote) + " must be given.");
    for (const auto& set : spec.at_most_one_of)
        rules.push_back("At most one of " + joined(set, ", ", quote) + " may be given.");
    return rules;
}

// ---- Markdown ---------------------------------------------------------------------------------

/// Text for one cell of a table.
std::string cell(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '|') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

std::string code(std::string_view text) {
    return text.find('`') == std::string_view::npos ? "`" + std::string(text) + "`"
                                                    : "`` " + std::string(text) + " ``";
}

void option_rows(const std::vector<OptionSpec>& options, std::string& out) {
    out += "| Option | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
    for (const OptionSpec& option : options) {
        std::string meaning = option.doc;
        for (const std::string& remark : remarks(option, "`"))
            meaning += " " + remark;
        std::string fallback = option.required                ? "required"
                               : option.default_value.empty() ? "–"
                                                              : code(option.default_value);
        out += "| " + code(option.name) + " | " + cell(type_text(option)) + " | " + cell(fallback) +
               " | " + cell(meaning) + " |\n";
    }
}

void markdown_example(const ProcessorSpec& spec, const Example& example, std::string& out) {
    if (!example.title.empty()) out += "\n" + example.title + "\n";
    out += "\n```yaml\n- " + spec.name + ": " + (example.options.empty() ? "{}" : example.options) +
           "\n```\n";
    out += "\n| | |\n| --- | --- |\n| in | " + cell(code(example.in)) + " |\n";
    if (!example.fails.empty()) {
        out += "| fails | " + cell(example.fails) + " |\n";
    } else if (example.out == "dropped") {
        out += "| out | the document is dropped |\n";
    } else {
        out += "| out | " + cell(code(example.out)) + " |\n";
    }
}

std::string page(const ProcessorSpec& spec) {
    std::string out = "# " + spec.name + "\n\n" + spec.summary + "\n";
    if (!spec.description.empty()) out += "\n" + spec.description + "\n";
    out += "\n## Options\n\n";
    if (spec.options.empty()) {
        out += "None but the common ones.\n";
    } else {
        option_rows(spec.options, out);
    }
    for (const std::string& rule : set_rules(spec, "`"))
        out += "\n" + rule + "\n";
    out += "\nThe [options common to all processors](README.md#common-options) apply.\n";
    if (spec.keeps_partial_changes)
        out += "\nA failing run keeps the changes that it made before it failed.\n";
    if (!spec.examples.empty()) out += "\n## Examples\n";
    for (const Example& example : spec.examples)
        markdown_example(spec, example, out);
    out += "\nSince " + spec.since + ".\n";
    return out;
}

// ---- terminal ---------------------------------------------------------------------------------

/// Columns that UTF-8 text takes: code points, near enough for the reference's texts.
std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

/// Appends `text` in lines of `width`, all but the first indented; the first begins at column `at`.
void wrap(std::string_view text, std::size_t indent, std::size_t at, std::size_t width,
          std::string& out) {
    bool first = true;
    while (!text.empty()) {
        text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
        if (text.empty()) break;
        std::string_view word = text.substr(0, text.find_first_of(" \n"));
        text.remove_prefix(word.size());
        std::size_t size = columns(word);
        if (!first && at + 1 + size > width) {
            out += "\n" + std::string(indent, ' ');
            at = indent;
            first = true;
        }
        if (!first) {
            out += ' ';
            ++at;
        }
        out += word;
        at += size;
        first = false;
    }
    out += '\n';
}

/// Markdown paragraphs; lists and code keep their lines.
void paragraphs(std::string_view text, std::size_t width, std::string& out) {
    std::string paragraph;
    bool fenced = false;
    auto flush = [&] {
        if (!paragraph.empty()) wrap(paragraph, 0, 0, width, out);
        paragraph.clear();
    };
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        bool fence = line.starts_with("```");
        bool verbatim = fenced || fence || line.starts_with("    ") || line.starts_with("|");
        bool item = line.starts_with("- ") || line.starts_with("* ");
        if (line.empty() || verbatim || item) flush();
        if (fence) fenced = !fenced;
        if (line.empty() || (verbatim && !fence)) {
            out.append(line) += '\n';
        } else if (!fence) {
            paragraph.append(paragraph.empty() ? "" : " ").append(line);
        }
    }
    flush();
}

void option_text(const OptionSpec& option, std::size_t width, std::string& out) {
    out += "  " + option.name + " (" + type_text(option);
    if (option.required) out += ", required";
    if (!option.default_value.empty()) out += ", default " + option.default_value;
    out += ")\n      ";
    std::string meaning = option.doc;
    for (const std::string& remark : remarks(option, ""))
        meaning += " " + remark;
    wrap(meaning, 6, 6, width, out);
}

// ---- JSON schema ------------------------------------------------------------------------------

/// Makes values in one arena; texts are copied.
class SchemaWriter {
  public:
    std::string write(const Catalog& catalog) {
        Fields definitions;
        Fields types;
        for (const auto& [name, spec] : catalog.all()) {
            types.emplace_back(name, reference("processor-" + name));
            definitions.emplace_back("processor-" + name, processor(spec));
        }
        definitions.insert(
            definitions.begin(),
            {{"processor", object({{"type", text("object")},
                                   {"minProperties", number(1)},
                                   {"maxProperties", number(1)},
                                   {"properties", object(types)},
                                   {"additionalProperties", flag(false)}})},
             {"processors", object({{"type", text("array")}, {"items", reference("processor")}})},
             {"handlers", object({{"type", text("array")},
                                  {"items", reference("processor")},
                                  {"minItems", number(1)}})}});
        std::string out;
        document::write_pretty_json(root(definitions), out);
        out += '\n';
        return out;
    }

  private:
    using Value = document::Value;
    using Fields = std::vector<std::pair<std::string, Value>>;

    Value text(std::string_view content) { return Value::string(content, arena_); }
    static Value number(std::int64_t value) { return Value::integer(value); }
    static Value flag(bool value) { return Value::boolean(value); }
    Value object(const Fields& fields) {
        auto* made = arena_.make<document::Object>();
        for (const auto& [name, value] : fields)
            made->set(arena_.copy(name), value, arena_);
        return Value::object(made);
    }
    Value array(const std::vector<Value>& values) {
        auto* made = arena_.make<document::Array>();
        for (Value value : values)
            made->push_back(value, arena_);
        return Value::array(made);
    }
    Value texts(const std::vector<std::string>& contents) {
        std::vector<Value> values;
        values.reserve(contents.size());
        for (const std::string& content : contents)
            values.push_back(text(content));
        return array(values);
    }
    Value reference(const std::string& definition) {
        return object({{"$ref", text("#/$defs/" + definition)}});
    }
    Value described(std::string_view type, std::string_view description) {
        return object({{"type", text(type)}, {"description", text(description)}});
    }

    Value root(const Fields& definitions) {
        Fields properties = {
            {"id", described("string", "Name of the pipeline; without it the file's name.")},
            {"description", described("string", "What the pipeline is for.")},
            {"version", described("integer", "For use outside; means nothing here.")},
            {"_meta", described("object", "Anything about the pipeline, for use outside.")},
            {"deprecated", object({{"type", text("boolean")}, {"default", flag(false)}})},
            {"field_access_pattern",
             object({{"enum", texts({"classic", "flexible"})}, {"default", text("classic")}})},
            {"processors", reference("processors")},
            {"on_failure", reference("handlers")},
            {"tests", object({{"description", text("Cases for `penstock test`.")}})},
            {"created_date", object({})},
            {"created_date_millis", object({})},
            {"modified_date", object({})},
            {"modified_date_millis", object({})}};
        return object({{"$schema", text("https://json-schema.org/draft/2020-12/schema")},
                       {"title", text("Penstock pipeline")},
                       {"type", text("object")},
                       {"required", texts({"processors"})},
                       {"properties", object(properties)},
                       {"additionalProperties", flag(false)},
                       {"$defs", object(definitions)}});
    }

    Value processor(const ProcessorSpec& spec) {
        Fields properties;
        std::vector<Value> rules;
        std::vector<std::string> required;
        for (const OptionSpec& option : spec.options)
            add_option(option, properties, required, rules);
        for (const OptionSpec& option : common_options())
            add_option(option, properties, required, rules);
        for (const auto& set : spec.exactly_one_of) {
            std::vector<Value> choices;
            choices.reserve(set.size());
            for (const std::string& name : set)
                choices.push_back(given(spec, name));
            rules.push_back(object({{"oneOf", array(choices)}}));
        }
        for (const auto& set : spec.at_most_one_of) {
            for (std::size_t i = 0; i < set.size(); ++i) {
                for (std::size_t j = i + 1; j < set.size(); ++j) {
                    Value both =
                        object({{"allOf", array({given(spec, set[i]), given(spec, set[j])})}});
                    rules.push_back(object({{"not", both}}));
                }
            }
        }
        bool optional = required.empty() && spec.exactly_one_of.empty();
        Fields fields = {{"description", text(spec.summary)},
                         {"type", optional ? texts({"object", "null"}) : text("object")},
                         {"properties", object(properties)},
                         {"additionalProperties", flag(false)}};
        if (!required.empty()) fields.emplace_back("required", texts(required));
        if (!rules.empty()) fields.emplace_back("allOf", array(rules));
        return object(fields);
    }

    /// "The option is given", under any of its names; null is as good as not given.
    Value given(const ProcessorSpec& spec, const std::string& name) {
        for (const OptionSpec& option : spec.options) {
            if (option.name == name && !option.aliases.empty()) return any_name(option);
        }
        return given_as(name);
    }
    Value any_name(const OptionSpec& option) {
        std::vector<Value> names = {given_as(option.name)};
        for (const std::string& alias : option.aliases)
            names.push_back(given_as(alias));
        return object({{"anyOf", array(names)}});
    }
    Value given_as(const std::string& name) {
        return object({{"required", texts({name})}, {"properties", object({{name, not_null()}})}});
    }
    Value not_null() { return object({{"not", object({{"type", text("null")}})}}); }

    void add_option(const OptionSpec& option, Fields& properties,
                    std::vector<std::string>& required, std::vector<Value>& rules) {
        properties.emplace_back(option.name, this->option(option));
        for (const std::string& alias : option.aliases) {
            OptionSpec older = option;
            older.doc = "Older name of `" + option.name + "`.";
            Fields fields = option_fields(older);
            fields.emplace_back("deprecated", flag(true));
            properties.emplace_back(alias, object(fields));
        }
        if (!option.required) return;
        if (option.aliases.empty()) {
            required.push_back(option.name);
        } else {
            rules.push_back(any_name(option));
        }
    }

    Value option(const OptionSpec& option) { return object(option_fields(option)); }

    Fields option_fields(const OptionSpec& option) {
        Fields fields;
        if (option.name == "on_failure") {
            fields = {{"$ref", text("#/$defs/handlers")}};
        } else {
            fields = type_fields(option);
        }
        std::string doc = option.doc;
        if (option.templated) doc += " Templates are allowed.";
        fields.emplace_back("description", text(doc));
        std::string problem;
        Node fallback = default_node(option, problem);
        if (!fallback.is_null()) fields.emplace_back("default", fallback.to_value(arena_));
        return fields;
    }

    /// Optional options may be null, which means that they are not given.
    Value type(std::vector<std::string> names, const OptionSpec& option) {
        if (!option.required) names.emplace_back("null");
        return names.size() == 1 ? text(names[0]) : texts(names);
    }

    Fields type_fields(const OptionSpec& option) {
        switch (option.type) {
            case OptionType::string:
            case OptionType::regex:
                return {{"type", type({"string"}, option)}};
            case OptionType::field:
                return {{"type", type({"string"}, option)}, {"minLength", number(1)}};
            case OptionType::boolean:
                return {{"enum", array(choices(option, {flag(true), flag(false), text("true"),
                                                        text("false")}))}};
            case OptionType::integer:
                return number_fields(option, "integer", "^-?(0|[1-9][0-9]*)$");
            case OptionType::number:
                return number_fields(option, "number",
                                     "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$");
            case OptionType::enumeration: {
                std::vector<Value> values;
                for (const std::string& value : option.values)
                    values.push_back(text(value));
                return {{"enum", array(choices(option, std::move(values)))}};
            }
            case OptionType::strings:
                return {{"type", type({"string", "array"}, option)},
                        {"items", object({{"type", text("string")}})}};
            case OptionType::list:
                return {{"type", type({"array"}, option)}};
            case OptionType::object:
                return {{"type", type({"object"}, option)}};
            case OptionType::processor:
                return {{"$ref", text("#/$defs/processor")}};
            case OptionType::any:
                break;
        }
        if (option.required) return {{"not", object({{"type", text("null")}})}};
        return {};
    }

    std::vector<Value> choices(const OptionSpec& option, std::vector<Value> values) {
        if (!option.required) values.push_back(Value::null());
        return values;
    }

    Fields number_fields(const OptionSpec& option, std::string_view name,
                         std::string_view pattern) {
        Fields fields = {{"type", type({std::string(name), "string"}, option)},
                         {"pattern", text(pattern)}};
        if (option.minimum) fields.emplace_back("minimum", limit(*option.minimum));
        if (option.maximum) fields.emplace_back("maximum", limit(*option.maximum));
        return fields;
    }
    Value limit(double value) { return Value::number(arena_.copy(limit_text(value))); }

    document::Arena arena_;
};

}  // namespace

std::map<std::string, std::string> reference_pages(const Catalog& catalog) {
    std::map<std::string, std::string> pages;
    std::string index = "# Processors\n\n| Processor | What it does |\n| --- | --- |\n";
    for (const auto& [name, spec] : catalog.all()) {
        pages[name + ".md"] = page(spec);
        index.append("| [").append(name).append("](").append(name).append(".md) | ");
        index.append(cell(spec.summary)).append(" |\n");
    }
    index += "\n## Common options\n\nEvery processor takes these.\n\n";
    option_rows(common_options(), index);
    pages["README.md"] = std::move(index);
    return pages;
}

std::string pipeline_schema(const Catalog& catalog) {
    return SchemaWriter().write(catalog);
}

std::string processor_text(const ProcessorSpec& spec, std::size_t width) {
    std::string out;
    wrap(spec.name + ": " + spec.summary, 0, 0, width, out);
    if (!spec.description.empty()) {
        out += '\n';
        paragraphs(spec.description, width, out);
    }
    if (!spec.options.empty()) out += "\nOptions:\n";
    for (const OptionSpec& option : spec.options)
        option_text(option, width, out);
    for (const std::string& rule : set_rules(spec, ""))
        wrap(rule, 0, 0, width, out);
    out += "\nCommon options:\n";
    for (const OptionSpec& option : common_options())
        option_text(option, width, out);
    if (!spec.examples.empty()) out += "\nExamples:\n";
    for (const Example& example : spec.examples) {
        if (!example.title.empty()) out += "  # " + example.title + "\n";
        out +=
            "  - " + spec.name + ": " + (example.options.empty() ? "{}" : example.options) + "\n";
        out += "    in:    " + example.in + "\n";
        out += example.fails.empty() ? "    out:   " + example.out + "\n"
                                     : "    fails: " + example.fails + "\n";
    }
    out += "\nSince " + spec.since + ".\n";
    return out;
}

std::string catalog_text(const Catalog& catalog, std::size_t width) {
    std::size_t longest = 0;
    for (const auto& [name, spec] : catalog.all())
        longest = std::max(longest, name.size());
    std::string out;
    for (const auto& [name, spec] : catalog.all()) {
        out += name + std::string(longest + 2 - name.size(), ' ');
        wrap(spec.summary, longest + 2, longest + 2, width, out);
    }
    return out;
}

}  // namespace penstock::pipeline
