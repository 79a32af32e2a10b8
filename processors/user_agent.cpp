#include <array>
#include <bitset>

#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/read_field.h"
#include "processors/user_agent/device_type.h"
#include "processors/user_agent/parser.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::FieldPath;
using document::Object;
using document::Outcome;
using document::Result;
using document::Value;
using pipeline::Node;
using pipeline::OptionType;

namespace {

constexpr std::string_view unknown = "Other";

/// What may be written.
enum Property : std::size_t { name, os, device, original, version, property_count };
constexpr std::array<std::string_view, property_count> property_names{"NAME", "OS", "DEVICE",
                                                                      "ORIGINAL", "VERSION"};
using Properties = std::bitset<property_count>;

class UserAgentProcessor final : public pipeline::Processor {
  public:
    struct Settings {
        FieldPath field;
        FieldPath target;
        Properties properties;
        bool extract_device_type = false;
        bool ignore_missing = false;
        /// Shared with the other processors that name the same file.
        std::shared_ptr<const UserAgentParser> parser;
    };

    explicit UserAgentProcessor(Settings settings) : settings_(std::move(settings)) {}

    Outcome run(Document& document) const override {
        const auto text =
            read_text(document, settings_.field, settings_.ignore_missing, "parse user-agent");
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        const Result<UserAgentPtr> agent = settings_.parser->parse(**text);
        if (!agent) return agent.error();
        return document.set(settings_.target,
                            details(Value::string(**text), **agent, document.arena()));
    }

  private:
    Value details(Value text, const UserAgent& agent, Arena& arena) const {
        const Properties& wanted = settings_.properties;
        auto* all = arena.make<Object>();
        const auto& browser = agent.browser;
        if (wanted[name]) {
            all->set("name", Value::string(browser ? browser->name : unknown, arena), arena);
        }
        if (wanted[original]) all->set("original", text, arena);
        if (wanted[version] && browser && browser->version)
            all->set("version", Value::string(*browser->version, arena), arena);
        if (wanted[os] && agent.system) all->set("os", system_details(*agent.system, arena), arena);
        if (wanted[device]) all->set("device", device_details(text, agent, arena), arena);
        return Value::object(all);
    }

    static Value system_details(const NamedVersion& system, Arena& arena) {
        auto* all = arena.make<Object>();
        all->set("name", Value::string(system.name, arena), arena);
        if (system.version) {
            all->set("version", Value::string(*system.version, arena), arena);
            all->set("full", Value::string(system.name + " " + *system.version, arena), arena);
        }
        return Value::object(all);
    }

    Value device_details(Value text, const UserAgent& agent, Arena& arena) const {
        auto* all = arena.make<Object>();
        all->set("name", Value::string(agent.device ? agent.device->name : unknown, arena), arena);
        if (settings_.extract_device_type)
            all->set("type", Value::string(device_type(text.as_string(), agent)), arena);
        return Value::object(all);
    }

    Settings settings_;
};

std::optional<std::size_t> property_named(std::string_view text) {
    for (std::size_t i = 0; i < property_count; ++i) {
        const auto same = [](char a, char b) {
            return a == b || (b >= 'A' && b <= 'Z' && a == (b | 0x20));
        };
        const std::string_view known = property_names[i];
        if (std::equal(text.begin(), text.end(), known.begin(), known.end(), same)) return i;
    }
    return std::nullopt;
}

Properties read_properties(const pipeline::Config& config) {
    Properties properties;
    if (!config.has("properties")) return properties.set();
    for (const Node& item : config.node("properties").items) {
        if (const auto property = property_named(item.text); item.is_string() && property) {
            properties.set(*property);
            continue;
        }
        config.error_at(item, "[properties] illegal property value [" + item.text +
                                  "]. valid values are [NAME, OS, DEVICE, ORIGINAL, VERSION]");
    }
    return properties;
}

std::shared_ptr<const UserAgentParser> read_parser(const pipeline::Config& config,
                                                   const UserAgentParsers& parsers) {
    const std::string& file = config.string("regex_file");
    try {
        if (auto parser = parsers.find(file)) return parser;
    } catch (const Error& error) {
        config.error("regex_file", std::string("[regex_file] ") + error.what());
        return nullptr;
    }
    const std::string directory = parsers.directory().string();
    config.error(
        "regex_file",
        "[regex_file] regex file [" + file + "] doesn't exist (has to exist at node startup)",
        directory.empty() ? "no directory of such files is configured"
                          : "*.yml files are looked for in " + directory);
    return nullptr;
}

pipeline::StepBody compile(const pipeline::Config& config, const UserAgentParsers& parsers) {
    UserAgentProcessor::Settings settings;
    settings.field = config.path("field");
    settings.target = config.path("target_field");
    settings.properties = read_properties(config);
    settings.extract_device_type = config.flag("extract_device_type");
    settings.ignore_missing = config.flag("ignore_missing");
    settings.parser = read_parser(config, parsers);
    if (config.has("ecs")) {
        config.warning("ecs", "[ecs] is deprecated: the Elastic Common Schema is the only format");
    }
    if (!settings.parser) return pipeline::ProcessorPtr();
    return std::make_unique<UserAgentProcessor>(std::move(settings));
}

}  // namespace

pipeline::ProcessorSpec user_agent(UserAgentParsersPtr parsers) {
    return {
        .name = "user_agent",
        .summary = "Tells browser, system and device from a user agent.",
        .description =
            "The result is an object as the Elastic Common Schema has it: `name`, `original`, "
            "`version`, `os` with `name`, `version` and `full`, and `device` with `name`. What is "
            "not known is `Other`, or left out.\n\n"
            "The names come from [uap-core](https://github.com/ua-parser/uap-core), or from a file "
            "of your own in its format: `*.yml` in the directory that `user_agent.directory` in "
            "`penstock.yml`, or `penstock serve --user-agent-dir`, names; else in "
            "`ingest-user-agent` in the data directory. A file is read once. An expression "
            "that needs more than a million steps on a text fails the document. All of `$1` to "
            "`$9` "
            "in replacements are filled in, as uap-core says; Elasticsearch knows only `$1` in a "
            "name.",
        .options =
            {
                pipeline::field_option("The user agent, as a browser sends it."),
                {.name = "target_field",
                 .type = OptionType::field,
                 .doc = "Where the object goes.",
                 .default_value = "user_agent"},
                {.name = "properties",
                 .type = OptionType::list,
                 .doc = "What to write, out of `name`, `os`, `device`, `original` and `version`; "
                        "all when it is not given."},
                pipeline::flag_option("extract_device_type",
                                      "Write `device.type` too: `Robot`, `Tablet`, `Phone`, "
                                      "`Desktop` or `Other`.",
                                      false),
                pipeline::string_option("regex_file",
                                        "Name of a file with the expressions to go by, instead "
                                        "of those that come with the program."),
                pipeline::ignore_missing_option(),
                {.name = "ecs", .type = OptionType::any, .doc = "Has no effect; deprecated."},
            },
        .examples =
            {
                {.options = "{field: agent, properties: [name, version, os, device]}",
                 .in = R"({"agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_2) )"
                       R"(AppleWebKit/537.36 (KHTML, like Gecko) Chrome/33.0.1750.149 )"
                       R"(Safari/537.36"})",
                 .out = R"({"agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_2) )"
                        R"(AppleWebKit/537.36 (KHTML, like Gecko) Chrome/33.0.1750.149 )"
                        R"(Safari/537.36","user_agent":{"name":"Chrome",)"
                        R"("version":"33.0.1750.149","os":{"name":"Mac OS X",)"
                        R"("version":"10.9.2","full":"Mac OS X 10.9.2"},)"
                        R"("device":{"name":"Mac"}}})"},
                {.options = "{field: agent}",
                 .in = R"({"agent":"something 1.0"})",
                 .out = R"({"agent":"something 1.0","user_agent":{"name":"Other",)"
                        R"("original":"something 1.0","device":{"name":"Other"}}})",
                 .title = "Nothing is known"},
                {.options = "{field: agent}",
                 .in = R"({"agent":null})",
                 .fails = "field [agent] is null, cannot parse user-agent."},
            },
        .compile = [parsers = std::move(parsers)](
                       const pipeline::Config& config) { return compile(config, *parsers); },
    };
}

}  // namespace penstock::processors
