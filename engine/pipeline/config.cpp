#include <algorithm>
#include <stdexcept>

#include "engine/pipeline/option_check.h"
#include "engine/pipeline/spec.h"

namespace penstock::pipeline {

struct Config::Impl {
    /// One option of the specification with its value: given, else the default, else null.
    struct Value {
        const OptionSpec* spec;
        Node node;
        bool given = false;
        std::string name;  // under which it was given
        Position key;
        mutable BlockPtr nested;
    };

    const ProcessorSpec& spec;
    Context context;
    Position position;  // of the processor
    std::vector<Value> values;
    bool valid = true;

    Impl(const ProcessorSpec& processor, const Node& options, Context where)
        : spec(processor), context(std::move(where)), position(options.position) {
        if (context.diagnostics == nullptr)
            throw std::logic_error("a Config needs somewhere to report to");
        for (const OptionSpec& option : spec.options)
            values.push_back({&option, {}, false, {}, {}, {}});
    }

    // ---- reporting ----------------------------------------------------------------------------

    void add(Severity severity, Position at, std::string message, std::string hint,
             std::string option = {}) const {
        std::string label = context.tag.empty() ? spec.name : spec.name + ":" + context.tag;
        context.diagnostics->add({severity, context.file, at, context.pipeline, std::move(label),
                                  std::move(message), std::move(hint), std::move(option)});
    }
    void wrong(Position at, std::string message, std::string hint = {}, std::string option = {}) {
        valid = false;
        add(Severity::error, at, std::move(message), std::move(hint), std::move(option));
    }

    // ---- checks -------------------------------------------------------------------------------

    void check(const Node& options) {
        if (!options.is_null() && !options.is_map()) {
            wrong(options.position, "options must be a map, found " + options.describe());
            return;
        }
        for (const Node::Entry& entry : options.entries)
            take(entry);
        for (Value& value : values) {
            if (!value.given) {
                use_default(value);
            } else {
                check_content(value);
            }
        }
        for (const auto& set : spec.exactly_one_of)
            check_set(set, true);
        for (const auto& set : spec.at_most_one_of)
            check_set(set, false);
    }

    Value* find(std::string_view name) {
        for (Value& value : values) {
            if (value.spec->name == name) return &value;
            const auto& aliases = value.spec->aliases;
            if (std::find(aliases.begin(), aliases.end(), name) != aliases.end()) return &value;
        }
        return nullptr;
    }

    void take(const Node::Entry& entry) {
        if (is_common_option(entry.key)) return;
        Value* value = find(entry.key);
        if (value == nullptr) {
            unknown(entry);
            return;
        }
        if (value->key.line > 0) {
            wrong(entry.position,
                  "options [" + value->name + "] and [" + entry.key + "] are the same",
                  "give one of them");
            return;
        }
        value->name = entry.key;
        value->key = entry.position;
        value->node.position = entry.value.position;
        if (entry.value.is_null()) return;
        std::vector<OptionProblem> problems;
        value->node = checked_value(*value->spec, entry.value, problems);
        value->given = true;
        for (OptionProblem& problem : problems) {
            wrong(problem.position, std::move(problem.message), std::move(problem.hint),
                  value->spec->name);
        }
        if (!problems.empty()) value->node = {};
    }

    void unknown(const Node::Entry& entry) {
        std::vector<std::string_view> known;
        for (const OptionSpec& option : spec.options)
            known.push_back(option.name);
        for (const OptionSpec& option : common_options())
            known.push_back(option.name);
        std::string_view near = nearest(entry.key, known);
        wrong(entry.position, "option [" + entry.key + "] is not known",
              near.empty() ? "" : "did you mean [" + std::string(near) + "]?", entry.key);
    }

    void use_default(Value& value) {
        if (value.spec->required) {
            wrong(value.key.line > 0 ? value.key : position,
                  "[" + value.spec->name + "] required property is missing", "", value.spec->name);
        }
        std::string problem;
        Position at = value.node.position;
        value.node = default_node(*value.spec, problem);
        value.node.position = at.line > 0 ? at : position;
        if (!problem.empty())
            throw std::logic_error("processor [" + spec.name + "]: the default of " + problem);
    }

    /// What type and range do not tell: paths, templates, the nested processor.
    void check_content(Value& value) {
        if (value.node.is_null()) return;
        const OptionSpec& option = *value.spec;
        if (option.type == OptionType::processor) {
            if (context.nested) value.nested = context.nested(value.node);
            return;
        }
        if (option.templated) {
            check_templates(value, value.node);
            return;
        }
        if (option.type != OptionType::field) return;
        if (script::Template::has_tags(value.node.text)) {
            add(Severity::warning, value.node.position,
                "option [" + option.name + "] does not take templates: [" + value.node.text +
                    "] is meant literally",
                "");
        }
        auto path = document::FieldPath::parse(value.node.text, context.access);
        if (!path)
            wrong(value.node.position, "option [" + option.name + "]: " + path.error().reason, "",
                  option.name);
    }

    void check_templates(const Value& value, const Node& node) {
        for (const Node& item : node.items)
            check_templates(value, item);
        for (const Node::Entry& entry : node.entries)
            check_templates(value, entry.value);
        if (!node.is_string()) return;
        bool field = value.spec->type == OptionType::field;
        try {
            if (field) {
                script::FieldTemplate::compile(node.text, context.access);
            } else {
                script::Template::compile(node.text);
            }
        } catch (const Error& error) {
            wrong(node.position, "option [" + value.spec->name + "]: " + error.what(), "",
                  value.spec->name);
        }
    }

    void check_set(const std::vector<std::string>& names, bool one_needed) {
        std::vector<const Value*> given;
        std::string list;
        for (const std::string& name : names) {
            const Value* value = find(name);
            if (value->given) given.push_back(value);
            list += (list.empty() ? "[" : ", [") + name + "]";
        }
        if (given.empty() && one_needed)
            wrong(position, "[" + names.front() + "] required property is missing",
                  "one of " + list + " must be given", names.front());
        if (given.size() < 2) return;
        std::sort(given.begin(), given.end(), [](const Value* a, const Value* b) {
            return std::pair(a->key.line, a->key.column) < std::pair(b->key.line, b->key.column);
        });
        for (std::size_t i = 1; i < given.size(); ++i) {
            wrong(given[i]->key, "options [" + given[0]->spec->name + "] and [" +
                                     given[i]->spec->name + "] cannot both be given");
        }
    }

    // ---- access -------------------------------------------------------------------------------

    const Value& get(std::string_view option) const {
        for (const Value& value : values) {
            if (value.spec->name == option) return value;
        }
        throw std::logic_error("processor [" + spec.name + "] has no option [" +
                               std::string(option) + "]");
    }

    const Value& get(std::string_view option, std::initializer_list<OptionType> types) const {
        const Value& value = get(option);
        if (std::find(types.begin(), types.end(), value.spec->type) == types.end()) misused(option);
        return value;
    }

    const Value& get_templated(std::string_view option,
                               std::initializer_list<OptionType> types) const {
        const Value& value = get(option, types);
        if (!value.spec->templated) misused(option);
        return value;
    }

    [[noreturn]] void misused(std::string_view option) const {
        throw std::logic_error("option [" + std::string(option) + "] of processor [" + spec.name +
                               "] is read as what its specification does not say");
    }

    Position where(std::string_view option) const {
        if (option.empty()) return position;
        const Value& value = get(option);
        return value.node.position.line > 0 ? value.node.position : position;
    }

    /// What `make` returns, or a harmless value after a report.
    template <class Make>
    auto guarded(Position at, std::string_view option, const Make& make) const -> decltype(make()) {
        try {
            return make();
        } catch (const Error& error) {
            add(Severity::error, at, "option [" + std::string(option) + "]: " + error.what(), "");
            return {};
        }
    }
};

Config::Config(const ProcessorSpec& spec, const Node& options, Context context)
    : impl_(std::make_unique<Impl>(spec, options, std::move(context))) {
    impl_->check(options);
}

Config::~Config() = default;

bool Config::valid() const {
    return impl_->valid;
}

bool Config::has(std::string_view option) const {
    return impl_->get(option).given;
}

const std::string& Config::string(std::string_view option) const {
    return impl_
        ->get(option,
              {OptionType::string, OptionType::enumeration, OptionType::regex, OptionType::field})
        .node.text;
}

bool Config::flag(std::string_view option) const {
    return impl_->get(option, {OptionType::boolean}).node.boolean;
}

std::int64_t Config::integer(std::string_view option) const {
    return impl_->get(option, {OptionType::integer}).node.integer;
}

double Config::number(std::string_view option) const {
    return impl_->get(option, {OptionType::number, OptionType::integer}).node.floating;
}

std::vector<std::string> Config::strings(std::string_view option) const {
    std::vector<std::string> texts;
    for (const Node& item : impl_->get(option, {OptionType::strings}).node.items)
        texts.push_back(item.text);
    return texts;
}

document::FieldPath Config::parse_path(std::string_view option, std::string_view text) const {
    auto path = document::FieldPath::parse(text, impl_->context.access);
    if (path) return std::move(*path);
    error(option, "option [" + std::string(option) + "]: " + path.error().reason);
    return *document::FieldPath::parse("_");
}

document::FieldPath Config::path(std::string_view option) const {
    const auto& value = impl_->get(option, {OptionType::field});
    if (value.spec->templated) impl_->misused(option);
    return parse_path(option, value.node.text);
}

document::FieldPath Config::path_or(std::string_view option, std::string_view fallback) const {
    return has(option) ? path(option) : parse_path(option, fallback);
}

script::FieldTemplate Config::field(std::string_view option) const {
    return field_or(option, impl_->get_templated(option, {OptionType::field}).node.text);
}

script::FieldTemplate Config::field_or(std::string_view option, std::string_view fallback) const {
    const auto& value = impl_->get_templated(option, {OptionType::field});
    std::string_view text = value.given ? std::string_view(value.node.text) : fallback;
    return impl_->guarded(impl_->where(option), option, [&] {
        return script::FieldTemplate::compile(text, impl_->context.access);
    });
}

std::vector<script::FieldTemplate> Config::fields(std::string_view option) const {
    std::vector<script::FieldTemplate> fields;
    for (const Node& item : impl_->get_templated(option, {OptionType::strings}).node.items) {
        fields.push_back(impl_->guarded(
            item.position.line > 0 ? item.position : impl_->position, option,
            [&] { return script::FieldTemplate::compile(item.text, impl_->context.access); }));
    }
    return fields;
}

script::Template Config::text(std::string_view option, script::MediaType media_type) const {
    const auto& value = impl_->get_templated(option, {OptionType::string, OptionType::field});
    return impl_->guarded(impl_->where(option), option,
                          [&] { return script::Template::compile(value.node.text, media_type); });
}

script::ValueTemplate Config::value(std::string_view option, script::MediaType media_type) const {
    const auto& value =
        impl_->get_templated(option, {OptionType::any, OptionType::string, OptionType::strings,
                                      OptionType::list, OptionType::object});
    document::Arena arena;
    return impl_->guarded(impl_->where(option), option, [&] {
        return script::ValueTemplate::compile(value.node.to_value(arena), media_type);
    });
}

const Node& Config::node(std::string_view option) const {
    return impl_
        ->get(option,
              {OptionType::any, OptionType::list, OptionType::object, OptionType::processor})
        .node;
}

BlockPtr Config::nested(std::string_view option) const {
    return std::move(impl_->get(option, {OptionType::processor}).nested);
}

const std::string& Config::tag() const {
    return impl_->context.tag;
}
const std::string& Config::pipeline() const {
    return impl_->context.pipeline;
}
document::AccessPattern Config::access() const {
    return impl_->context.access;
}

void Config::error(std::string_view option, std::string message, std::string hint) const {
    impl_->add(Severity::error, impl_->where(option), std::move(message), std::move(hint));
}

void Config::warning(std::string_view option, std::string message) const {
    impl_->add(Severity::warning, impl_->where(option), std::move(message), {});
}

void Config::error_at(const Node& node, std::string message) const {
    impl_->add(Severity::error, node.position.line > 0 ? node.position : impl_->position,
               std::move(message), {});
}

}  // namespace penstock::pipeline
