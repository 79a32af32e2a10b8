// What a processor declares once about itself; parsing, validation, documentation and the JSON
// schema come from it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/document/path.h"
#include "engine/document/value.h"
#include "engine/pipeline/diagnostic.h"
#include "engine/pipeline/node.h"
#include "engine/pipeline/processor.h"
#include "engine/script/template.h"

namespace penstock::pipeline {

enum class OptionType : std::uint8_t {
    string,
    boolean,  ///< also the strings "true" and "false", as the reference takes them
    integer,  ///< also a string that holds one
    number,
    enumeration,  ///< a string out of `values`
    field,        ///< a field path
    strings,      ///< a string or a list of strings
    list,         ///< a list of anything
    object,       ///< a map
    any,          ///< any value
    regex,        ///< a regular expression, in Java's syntax as far as PCRE2 has it
    processor,    ///< a map with exactly one processor
};
std::string_view type_name(OptionType type);  ///< "string", "boolean", "field", ...

/// One option. Written with designated initialisers, or through the short makers below.
struct OptionSpec {
    std::string name;
    OptionType type = OptionType::string;
    std::string doc;  ///< one or two sentences, for the reference
    bool required = false;
    std::string default_value;  ///< as YAML text for the reference and the schema; empty: none
    bool templated = false;  ///< Mustache tags are allowed (in every string of it when type is any)
    std::vector<std::string> values;  ///< of an enumeration
    std::optional<double> minimum;
    std::optional<double> maximum;
    std::string since;  ///< version; empty: from the start
    std::vector<std::string>
        aliases;  ///< other names that are accepted (the reference's older ones)
};

/// An example that is both documentation and test. YAML flow or JSON text.
struct Example {
    std::string options;  ///< "{field: host, target_field: host_name}"
    std::string in;       ///< {"host":"a"}; members _index, _id, ... are metadata
    std::string
        out;  ///< {"host_name":"a"}; "dropped" when the document is dropped; unused when it fails
    std::string fails;  ///< the failure's reason; empty when it succeeds
    std::string title;  ///< a short sentence; may be empty
};

class Config;
struct Step;
struct Block;

/// Owners of types that are complete only where pipelines are executed (the deleters are in
/// step.cpp), so that a processor's file needs neither Asio nor the compiled pipeline.
struct BlockDeleter {
    void operator()(Block* block) const;
};
struct AsyncProcessorDeleter {
    void operator()(AsyncProcessor* processor) const;
};
using ProcessorPtr = std::unique_ptr<Processor>;
using AsyncProcessorPtr = std::unique_ptr<AsyncProcessor, AsyncProcessorDeleter>;
using BlockPtr = std::unique_ptr<Block, BlockDeleter>;

/// Calls another pipeline, which the executor looks up.
struct PipelineCall {
    script::Template name;
    bool ignore_missing = false;
};

/// Runs a step for every element of a list or object.
struct ForeachElement {
    document::FieldPath field;
    bool ignore_missing = false;
    BlockPtr body;
};

/// What a compile function makes.
using StepBody = std::variant<ProcessorPtr, AsyncProcessorPtr, PipelineCall, ForeachElement>;

struct ProcessorSpec {
    std::string name;     ///< [a-z][a-z0-9_]*
    std::string summary;  ///< one sentence
    std::string
        description;  ///< Markdown; semantics and differences from the reference; may be empty
    std::vector<OptionSpec> options;  ///< without those common to all processors
    std::vector<Example> examples;
    /// Makes the step. Options are complete and of the right type here; what else is wrong with
    /// them is told through Config::error, and then any body may be returned (an empty unique_ptr,
    /// say): it is thrown away.
    std::function<StepBody(const Config&)> compile;
    std::string since = "0.1.0";
    /// The executor leaves what a failing run changed, as the reference visibly does (foreach,
    /// script).
    bool keeps_partial_changes = false;
    /// Options of which exactly one must be given, e.g. {"value", "copy_from"}; more than one such
    /// set may be.
    std::vector<std::vector<std::string>> exactly_one_of{};
    /// Options of which at most one may be given.
    std::vector<std::vector<std::string>> at_most_one_of{};
};

/// The options common to all processors: if, tag, description, ignore_failure, on_failure.
const std::vector<OptionSpec>& common_options();
bool is_common_option(std::string_view name);

/// Known processors by name. A plain value, made by whoever runs pipelines.
class Catalog {
  public:
    /// Throws penstock::Error when the name is taken or not a name.
    void add(ProcessorSpec spec);
    const ProcessorSpec* find(std::string_view name) const;
    /// Ordered by name.
    const std::map<std::string, ProcessorSpec, std::less<>>& all() const { return specs_; }

  private:
    std::map<std::string, ProcessorSpec, std::less<>> specs_;
};

/// Makes the block of one nested processor (`foreach`); given by the compiler.
using NestedCompiler = std::function<BlockPtr(const Node& processor)>;

/// One processor's options, checked against its specification: every getter gives the option's
/// value or its default. Asking for an option that the specification does not have, or for the
/// wrong type, is a bug (std::logic_error). Mistakes in values (a bad path, template or regex) are
/// reported with their position, and a harmless value comes back.
class Config {
  public:
    /// Where findings go and what the pipeline says for all of its processors.
    struct Context {
        Diagnostics* diagnostics = nullptr;
        std::string file;
        std::string pipeline;
        std::string tag;
        document::AccessPattern access = document::AccessPattern::classic;
        NestedCompiler nested;
    };

    /// Checks `options` (a map, or null when there are none) against `spec`, reporting every
    /// mistake to the context's diagnostics. Common options are skipped: the compiler reads them.
    Config(const ProcessorSpec& spec, const Node& options, Context context);
    ~Config();

    /// False when the checks found a mistake; then compile is not called.
    bool valid() const;

    bool has(std::string_view option) const;  ///< given and not null
    const std::string& string(
        std::string_view option) const;  ///< string, enumeration, regex; "" without default
    bool flag(std::string_view option) const;
    std::int64_t integer(std::string_view option) const;
    double number(std::string_view option) const;
    std::vector<std::string> strings(std::string_view option) const;
    /// type field, not templated.
    document::FieldPath path(std::string_view option) const;
    /// `option` when given, else `fallback`: target_field that defaults to field.
    document::FieldPath path_or(std::string_view option, std::string_view fallback) const;
    /// Any text as a path of this pipeline's access pattern, errors at `option`.
    document::FieldPath parse_path(std::string_view option, std::string_view text) const;
    /// type field, templated.
    script::FieldTemplate field(std::string_view option) const;
    script::FieldTemplate field_or(std::string_view option, std::string_view fallback) const;
    std::vector<script::FieldTemplate> fields(
        std::string_view option) const;  ///< type strings, templated
    /// type string, templated.
    script::Template text(std::string_view option,
                          script::MediaType = script::MediaType::json) const;
    /// type any, templated.
    script::ValueTemplate value(std::string_view option,
                                script::MediaType = script::MediaType::json) const;
    /// type any, list or object: as written, with positions.
    const Node& node(std::string_view option) const;
    /// type processor.
    BlockPtr nested(std::string_view option) const;

    const std::string& tag() const;
    const std::string& pipeline() const;
    document::AccessPattern access() const;

    /// Reports a mistake in an option, at its position. An empty option means the processor as a
    /// whole.
    void error(std::string_view option, std::string message, std::string hint = {}) const;
    void warning(std::string_view option, std::string message) const;
    /// The same at a nested node of an option.
    void error_at(const Node& node, std::string message) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Makers of the usual options, so that a processor's table reads as a table.
OptionSpec field_option(std::string doc, bool templated = false);  ///< "field", required
OptionSpec target_field_option(
    std::string default_doc = "field");                        ///< "target_field", default: field
OptionSpec ignore_missing_option(bool default_value = false);  ///< "ignore_missing"
OptionSpec flag_option(std::string name, std::string doc, bool default_value);
OptionSpec string_option(std::string name, std::string doc, bool required = false);

}  // namespace penstock::pipeline
