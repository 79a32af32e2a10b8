#include "engine/pipeline/definition.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "engine/pipeline/node_builder.h"
#include "engine/pipeline/spec.h"

namespace penstock::pipeline {

namespace {

// ---- text -------------------------------------------------------------------------------------

/// Bytes of the UTF-8 character at `at` (RFC 3629: no surrogates, nothing overlong), or 0.
std::size_t character_size(std::string_view text, std::size_t at) {
    auto byte = [&](std::size_t i) -> unsigned {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
        return follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
        return follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

std::string hexadecimal(unsigned byte) {
    static constexpr char digits[] = "0123456789abcdef";
    return {'0', 'x', digits[byte >> 4], digits[byte & 15]};
}

/// What makes a text unfit for any reader.
std::optional<Finding> check_text(std::string_view text, const DefinitionLimits& limits) {
    if (text.size() > limits.max_bytes) {
        return Finding{{},
                       "the file has " + std::to_string(text.size()) + " bytes, more than the " +
                           std::to_string(limits.max_bytes) + " allowed",
                       ""};
    }
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
        return Finding{{1, 1}, "the file is UTF-16", "save it as UTF-8"};
    }
    Position position{1, 1};
    for (std::size_t at = 0; at < text.size();) {
        auto byte = static_cast<unsigned char>(text[at]);
        std::size_t size = character_size(text, at);
        if (size == 0)
            return Finding{position, "invalid UTF-8: byte " + hexadecimal(byte),
                           "save the file as UTF-8"};
        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
            return Finding{
                position, "control character " + hexadecimal(byte) + " is not allowed",
                byte == 0 ? "is this a text file?" : "write it as an escape in double quotes"};
        }
        position.column += static_cast<std::uint32_t>(size);
        if (byte == '\n') position = {position.line + 1, 1};
        at += size;
    }
    return std::nullopt;
}

bool begins_as_json(std::string_view text) {
    std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

bool is_further(const ReadResult& a, const ReadResult& b) {
    Position left = a.findings.back().position;
    Position right = b.findings.back().position;
    return std::pair(left.line, left.column) > std::pair(right.line, right.column);
}

/// A text in brackets is JSON, or else YAML in flow style. When it is neither, the reader that got
/// further has the better message, but JSON that fails behind its first bracket was never meant. A
/// file that calls itself JSON is nothing else.
ReadResult read(std::string_view text, const std::string& file, const DefinitionLimits& limits) {
    bool json_only = file.ends_with(".json");
    if (!json_only && !begins_as_json(text)) return read_yaml(text, limits);
    ReadResult json = read_json(text, limits);
    if (json.tree || json.limit || json_only) return json;
    ReadResult yaml = read_yaml(text, limits);
    bool meant_yaml = yaml.tree || yaml.limit || json.values < 2 || is_further(yaml, json);
    return meant_yaml ? std::move(yaml) : std::move(json);
}

// ---- structure --------------------------------------------------------------------------------

constexpr std::array<std::string_view, 9> pipeline_keys = {
    "id",         "description",          "version",    "_meta", "deprecated",
    "processors", "field_access_pattern", "on_failure", "tests"};
/// Elasticsearch adds them to what it returns; they say nothing about what the pipeline does.
constexpr std::array<std::string_view, 4> read_only_keys = {
    "created_date", "created_date_millis", "modified_date", "modified_date_millis"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& candidates) {
    std::string_view near = nearest(name, candidates);
    return near.empty() ? std::string() : "did you mean [" + std::string(near) + "]?";
}

class DefinitionReader {
  public:
    DefinitionReader(const std::string& file, std::string pipeline, Diagnostics& diagnostics)
        : file_(file), pipeline_(std::move(pipeline)), diagnostics_(diagnostics) {}

    std::optional<PipelineDefinition> read(Node root) {
        if (!root.is_map()) {
            error(root.position.line > 0 ? root.position : Position{1, 1},
                  "a pipeline is a map with [processors], found " + root.describe(),
                  root.is_list() ? "put the list under [processors]" : "");
            return std::nullopt;
        }
        PipelineDefinition definition;
        definition.file = file_;
        read_id(root, definition);
        check_keys(root);
        read_settings(root, definition);
        if (const Node* processors = root.find("processors");
            processors != nullptr && !processors->is_null()) {
            definition.processors = read_list(*processors, "processors", "");
        } else if (!unwrapped_hint(root).empty()) {
            error(root.position, "key [processors] is missing", unwrapped_hint(root));
        } else {
            error(processors ? processors->position : root.position, "key [processors] is missing",
                  "an empty list makes a pipeline that does nothing: processors: []");
        }
        if (const Node* handlers = root.find("on_failure");
            handlers != nullptr && !handlers->is_null()) {
            definition.has_on_failure = true;
            definition.on_failure = read_handlers(*handlers, "");
        }
        definition.root = std::move(root);
        return definition;
    }

    std::optional<ProcessorDefinition> read_processor(const Node& node, std::string_view list) {
        if (!node.is_map()) {
            std::string hint;
            if (node.is_string()) hint = "write it as a map: " + node.text + ": {}";
            error(node.position,
                  "a processor in [" + std::string(list) + "] must be a map, found " +
                      node.describe(),
                  std::move(hint));
            return std::nullopt;
        }
        if (node.entries.size() != 1) {
            report_entries(node, list);
            return std::nullopt;
        }
        const Node::Entry& entry = node.entries.front();
        ProcessorDefinition processor;
        processor.type = entry.key;
        processor.position = entry.position;
        processor.options.kind = Node::Kind::map;
        processor.options.position = entry.position;
        if (entry.value.is_null()) return processor;
        if (!entry.value.is_map()) {
            error(entry.value.position, "options must be a map, found " + entry.value.describe(),
                  "", processor.type);
            return std::nullopt;
        }
        read_common(entry.value, processor);
        return processor;
    }

  private:
    void error(Position position, std::string message, std::string hint = {},
               std::string processor = {}, std::string option = {}) {
        diagnostics_.add({Severity::error, file_, position, pipeline_, std::move(processor),
                          std::move(message), std::move(hint), std::move(option)});
    }

    void wrong_type(const Node& node, std::string_view key, std::string_view expected,
                    const std::string& processor, std::string hint = {}) {
        error(node.position,
              std::string(processor.empty() ? "key [" : "option [") + std::string(key) +
                  "] must be " + std::string(expected) + ", found " + node.describe(),
              std::move(hint), processor, std::string(key));
    }

    // Each reads `map[key]` when it is there and not null.

    void read_string(const Node& map, std::string_view key, std::string& out,
                     const std::string& processor = {}) {
        const Node* node = map.find(key);
        if (node == nullptr || node->is_null()) return;
        if (node->is_string()) {
            out = node->text;
        } else {
            bool scalar = !node->is_list() && !node->is_map();
            wrong_type(*node, key, "a string", processor, scalar ? "put it in quotes" : "");
        }
    }

    void read_flag(const Node& map, std::string_view key, bool& out,
                   const std::string& processor = {}) {
        const Node* node = map.find(key);
        if (node == nullptr || node->is_null()) return;
        if (node->kind == Node::Kind::boolean) {
            out = node->boolean;
        } else if (node->is_string() && (node->text == "true" || node->text == "false")) {
            out = node->text == "true";
        } else {
            wrong_type(*node, key, "a boolean", processor,
                       node->is_string() ? "write true or false" : "");
        }
    }

    void read_id(const Node& root, PipelineDefinition& definition) {
        definition.id = pipeline_;
        const Node* id = root.find("id");
        if (id == nullptr || id->is_null()) return;
        read_string(root, "id", definition.id);
        if (id->is_string() && (id->text.empty() || id->text == "_none")) {
            error(id->position, "[" + id->text + "] cannot be a pipeline's id",
                  id->text.empty() ? "leave [id] out to use the file's name"
                                   : "[_none] stands for no pipeline");
        }
        pipeline_ = definition.id;
    }

    void check_keys(const Node& root) {
        std::vector<std::string_view> known(pipeline_keys.begin(), pipeline_keys.end());
        for (const Node::Entry& entry : root.entries) {
            if (contains(pipeline_keys, entry.key) || contains(read_only_keys, entry.key)) continue;
            error(entry.position, "key [" + entry.key + "] is not known in a pipeline",
                  did_you_mean(entry.key, known));
        }
    }

    void read_settings(const Node& root, PipelineDefinition& definition) {
        read_string(root, "description", definition.description);
        read_flag(root, "deprecated", definition.deprecated);
        if (const Node* version = root.find("version"); version != nullptr && !version->is_null()) {
            Node number =
                version->is_string() ? ScalarTypes().number_or_string(version->text) : *version;
            if (number.kind == Node::Kind::integer) {
                definition.version = number.integer;
            } else {
                wrong_type(*version, "version", "an integer", "");
            }
        }
        if (const Node* meta = root.find("_meta"); meta != nullptr && !meta->is_null()) {
            if (meta->is_map()) {
                definition.meta = *meta;
            } else {
                wrong_type(*meta, "_meta", "a map", "");
            }
        }
        if (const Node* tests = root.find("tests"); tests != nullptr) definition.tests = *tests;
        read_access(root, definition);
    }

    void read_access(const Node& root, PipelineDefinition& definition) {
        const Node* access = root.find("field_access_pattern");
        if (access == nullptr || access->is_null()) return;
        if (access->is_string() && access->text == "flexible") {
            definition.access = document::AccessPattern::flexible;
        } else if (!access->is_string() || access->text != "classic") {
            wrong_type(*access, "field_access_pattern", "one of [classic, flexible]", "",
                       did_you_mean(access->text, {"classic", "flexible"}));
        }
    }

    /// `GET _ingest/pipeline/ID` answers `{"ID": {...}}`, and `_simulate` takes `{"pipeline":
    /// {...}}`.
    static std::string unwrapped_hint(const Node& root) {
        if (root.entries.size() != 1 || root.entries[0].value.find("processors") == nullptr)
            return {};
        return "the pipeline is inside of [" + root.entries[0].key +
               "]: put its content at the top";
    }

    std::vector<ProcessorDefinition> read_list(const Node& node, std::string_view key,
                                               const std::string& processor) {
        std::vector<ProcessorDefinition> processors;
        if (!node.is_list()) {
            wrong_type(node, key, "a list of processors", processor,
                       node.is_map() ? "begin each processor with [- ]" : "");
            return processors;
        }
        for (const Node& item : node.items) {
            if (auto read = read_processor(item, key)) processors.push_back(std::move(*read));
        }
        return processors;
    }

    std::vector<ProcessorDefinition> read_handlers(const Node& node, const std::string& processor) {
        if (node.is_list() && node.items.empty()) {
            error(node.position,
                  processor.empty() ? "pipeline [" + pipeline_ +
                                          "] cannot have an empty on_failure option defined"
                                    : "[on_failure] processors list cannot be empty",
                  "leave it out, or use [ignore_failure] to go on after a failure", processor,
                  "on_failure");
        }
        return read_list(node, "on_failure", processor);
    }

    void report_entries(const Node& node, std::string_view list) {
        if (node.entries.empty()) {
            error(node.position, "a processor in [" + std::string(list) + "] has no type",
                  "write it as a map: set: {field: ..., value: ...}");
            return;
        }
        std::string names;
        for (const Node::Entry& entry : node.entries) {
            if (names.size() > 100) {
                names += ", ...";
                break;
            }
            names += (names.empty() ? "" : ", ") + entry.key;
        }
        const Node::Entry& first = node.entries[0];
        error(node.entries[1].position,
              "a processor in [" + std::string(list) + "] must have one key, its type; found [" +
                  names + "]",
              first.value.is_null() ? "indent the options of [" + first.key + "] further"
              : list == "processor" ? "only one can be run; call a pipeline to run several"
                                    : "begin each processor with [- ]");
    }

    void read_common(const Node& options, ProcessorDefinition& processor) {
        read_string(options, "tag", processor.tag, processor.type);
        std::string label = processor.label();
        read_string(options, "description", processor.description, label);
        read_flag(options, "ignore_failure", processor.ignore_failure, label);
        read_condition(options, processor);
        for (const Node::Entry& entry : options.entries) {
            if (!is_common_option(entry.key)) processor.options.entries.push_back(entry);
        }
        const Node* handlers = options.find("on_failure");
        if (handlers == nullptr || handlers->is_null()) return;
        processor.has_on_failure = true;
        processor.on_failure = read_handlers(*handlers, label);
    }

    /// A script in text, or `{source: ..., lang: painless}`.
    void read_condition(const Node& options, ProcessorDefinition& processor) {
        const Node* node = options.find("if");
        if (node == nullptr || node->is_null()) return;
        std::string label = processor.label();
        const Node* source = node->is_map() ? node->find("source") : node;
        if (source == nullptr || !source->is_string()) {
            bool boolean = source != nullptr && source->kind == Node::Kind::boolean;
            wrong_type(*node, "if", "a condition as a string", label,
                       boolean ? "put it in quotes" : "");
            return;
        }
        for (const Node::Entry& entry : node->entries) {
            bool painless =
                entry.key == "lang" && entry.value.is_string() && entry.value.text == "painless";
            if (entry.key == "source" || painless) continue;
            error(entry.position, "[" + entry.key + "] is not supported in option [if]",
                  "only [source], and [lang] with the value painless", label);
        }
        processor.condition = source->text;
        processor.condition_position = source->position;
    }

    const std::string& file_;
    std::string pipeline_;
    Diagnostics& diagnostics_;
};

void report_file(const std::string& file, const std::string& message, Diagnostics& diagnostics) {
    diagnostics.add({Severity::error, file, {}, {}, {}, message, {}});
}

}  // namespace

std::optional<Node> parse_node(std::string_view text, const std::string& file,
                               Diagnostics& diagnostics, const DefinitionLimits& limits) {
    auto report = [&](Finding finding) {
        diagnostics.add({Severity::error,
                         file,
                         finding.position,
                         {},
                         {},
                         std::move(finding.message),
                         std::move(finding.hint)});
    };
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    if (auto problem = check_text(text, limits)) {
        report(std::move(*problem));
        return std::nullopt;
    }
    ReadResult result = read(text, file, limits);
    for (Finding& finding : result.findings)
        report(std::move(finding));
    return std::move(result.tree);
}

std::string ProcessorDefinition::label() const {
    return tag.empty() ? type : type + ":" + tag;
}

std::optional<PipelineDefinition> parse_definition(std::string_view text, const std::string& file,
                                                   const std::string& id, Diagnostics& diagnostics,
                                                   const DefinitionLimits& limits) {
    std::optional<Node> root = parse_node(text, file, diagnostics, limits);
    if (!root) return std::nullopt;
    return DefinitionReader(file, id, diagnostics).read(std::move(*root));
}

std::optional<PipelineDefinition> load_definition(const std::filesystem::path& file,
                                                  Diagnostics& diagnostics,
                                                  const DefinitionLimits& limits) {
    std::string name = file.string();
    std::error_code code;
    if (std::filesystem::is_directory(file, code)) {
        report_file(name, "is a directory, not a pipeline file", diagnostics);
        return std::nullopt;
    }
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        report_file(name, "cannot be read: " + std::generic_category().message(errno), diagnostics);
        return std::nullopt;
    }
    // One byte more than allowed is enough to know, even of an endless file.
    std::string text;
    char block[65536];
    while (text.size() <= limits.max_bytes &&
           (stream.read(block, sizeof block), stream.gcount() > 0)) {
        text.append(block, static_cast<std::size_t>(stream.gcount()));
    }
    if (stream.bad()) {
        report_file(name, "cannot be read to its end", diagnostics);
        return std::nullopt;
    }
    if (text.size() > limits.max_bytes) {
        report_file(name,
                    "has more than the " + std::to_string(limits.max_bytes) + " bytes allowed",
                    diagnostics);
        return std::nullopt;
    }
    return parse_definition(text, name, file.stem().string(), diagnostics, limits);
}

std::optional<ProcessorDefinition> parse_processor(const Node& node, const std::string& file,
                                                   const std::string& pipeline,
                                                   Diagnostics& diagnostics) {
    return DefinitionReader(file, pipeline, diagnostics).read_processor(node, "processor");
}

}  // namespace penstock::pipeline
