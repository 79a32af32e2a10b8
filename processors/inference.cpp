#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/document/json.h"
#include "engine/inference/infer_async.h"
#include "engine/pipeline/async_processor.h"
#include "processors/builtin.h"
#include "processors/deployment_directory.h"

namespace penstock::processors {
namespace {

using document::Array;
using document::Document;
using document::Failure;
using document::FailureType;
using document::FieldPath;
using document::Object;
using document::Outcome;
using document::Value;

enum class Existing : std::uint8_t { replace, append, skip };

/// One text field in, one result out. In either path a list may be met: then every element takes
/// part.
struct Mapping {
    FieldPath input_path;
    FieldPath output_path;
    std::string input_leaf;
    std::string output_leaf;
    std::optional<FieldPath> list;  // the common parent of both, when there is one: "chunks"
};

struct Settings {
    std::string deployment;
    std::vector<Mapping> mappings;   // input_output form
    std::optional<FieldPath> input;  // target_field form
    FieldPath target;
    bool ignore_missing = false;
    Existing existing = Existing::replace;
    std::string results_field = "predicted_value";
    inference::InferOptions options;
};

/// Where one text's result goes.
struct Slot {
    std::size_t item;        // the document
    const Mapping* mapping;  // null in the target_field form
    std::int64_t element;    // in the list of objects (chunks); -1: none
    std::int64_t position;   // in a list of strings; -1: a single string
    std::int64_t length;     // of that list
};

Value embedding_value(std::span<const float> numbers, document::Arena& arena) {
    auto* list = arena.make<Array>();
    list->reserve(numbers.size(), arena);
    for (float number : numbers) {
        // The double nearest to the float's shortest text, so that it is written as 0.1 and not
        // 0.10000000149011612.
        char text[32];
        auto end = std::to_chars(text, text + sizeof text, number).ptr;
        double value = 0;
        std::from_chars(text, end, value);
        list->push_back(Value::floating(value), arena);
    }
    return Value::array(list);
}

FailureType failure_type(int status) {
    switch (status) {
        case 404:
            return FailureType::resource_not_found;
        case 408:
            return FailureType::timeout;
        case 409:
            return FailureType::conflict;
        case 429:
            return FailureType::rejected;
        case 503:
            return FailureType::unavailable;
        case 400:
            return FailureType::illegal_argument;
        default:
            return FailureType::internal;
    }
}

class Inference final : public pipeline::AsyncProcessor {
  public:
    Inference(Settings settings, DeploymentDirectoryPtr directory)
        : settings_(std::move(settings)), directory_(std::move(directory)) {}

    boost::asio::awaitable<void> run(std::span<pipeline::AsyncItem> items) const override {
        std::vector<std::string_view> texts;
        std::vector<Slot> slots;
        for (std::size_t i = 0; i < items.size(); ++i) {
            std::size_t before = slots.size();
            items[i].outcome = gather(*items[i].document, i, texts, slots);
            if (!items[i].outcome.is_ok()) {
                texts.resize(before);
                slots.resize(before);
            }
        }
        if (texts.empty()) co_return;
        std::shared_ptr<inference::Deployment> deployment = directory_->find(settings_.deployment);
        if (!deployment) {
            Failure missing = document::failure(directory_->why_missing(settings_.deployment),
                                                FailureType::resource_not_found);
            for (const Slot& slot : slots)
                items[slot.item].outcome = missing;
            co_return;
        }
        inference::InferRequest request{texts, settings_.options};
        inference::InferResult result = co_await inference::infer(deployment, request);
        write(items, slots, result.items);
    }

  private:
    // ---- texts out of documents

    Outcome gather(Document& document, std::size_t item, std::vector<std::string_view>& texts,
                   std::vector<Slot>& slots) const {
        if (settings_.input) return gather_target(document, item, texts, slots);
        for (const Mapping& mapping : settings_.mappings) {
            Outcome outcome = gather_mapping(document, mapping, item, texts, slots);
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

    Outcome gather_target(Document& document, std::size_t item,
                          std::vector<std::string_view>& texts, std::vector<Slot>& slots) const {
        if (skips(document, settings_.target)) return Outcome::ok();
        const Value* value = document.find(*settings_.input);
        if (value == nullptr || value->is_null()) {
            // As the reference: a result that says why there is none.
            auto* result = document.arena().make<Object>();
            std::string warning = "Input field [" + settings_.input->text() +
                                  "] does not exist in the source document";
            result->set("warning", Value::string(warning, document.arena()), document.arena());
            return put(document, settings_.target, Value::object(result));
        }
        return gather_value(*settings_.input, *value, {item, nullptr, -1, -1, 0}, texts, slots);
    }

    Outcome gather_mapping(Document& document, const Mapping& mapping, std::size_t item,
                           std::vector<std::string_view>& texts, std::vector<Slot>& slots) const {
        const Value* list = mapping.list ? document.find(*mapping.list) : nullptr;
        if (list != nullptr && list->is_array()) {
            return gather_elements(list->as_array(), mapping, item, texts, slots);
        }
        const Value* value = document.find(mapping.input_path);
        if (value == nullptr || value->is_null()) {
            if (settings_.ignore_missing) return Outcome::ok();
            if (value == nullptr) return document.get(mapping.input_path).error();
            return document::failure("field [" + mapping.input_path.text() +
                                     "] is null, there is no text to infer from");
        }
        if (skips(document, mapping.output_path)) return Outcome::ok();
        return gather_value(mapping.input_path, *value, {item, &mapping, -1, -1, 0}, texts, slots);
    }

    Outcome gather_elements(const Array& list, const Mapping& mapping, std::size_t item,
                            std::vector<std::string_view>& texts, std::vector<Slot>& slots) const {
        for (std::size_t i = 0; i < list.size(); ++i) {
            const Value* value =
                list[i].is_object() ? list[i].as_object().get(mapping.input_leaf) : nullptr;
            if (value == nullptr || value->is_null()) {
                if (settings_.ignore_missing) continue;
                return document::failure("field [" + mapping.input_path.text() +
                                         "] is missing in element [" + std::to_string(i) +
                                         "] of list [" + mapping.list->text() + "]");
            }
            if (settings_.existing == Existing::skip &&
                list[i].as_object().get(mapping.output_leaf) != nullptr)
                continue;
            Outcome outcome =
                gather_value(mapping.input_path, *value,
                             {item, &mapping, static_cast<std::int64_t>(i), -1, 0}, texts, slots);
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

    static Outcome gather_value(const FieldPath& path, const Value& value, Slot slot,
                                std::vector<std::string_view>& texts, std::vector<Slot>& slots) {
        if (value.is_string()) {
            texts.push_back(value.as_string());
            slots.push_back(slot);
            return Outcome::ok();
        }
        if (!value.is_array()) return not_text(path, value);
        slot.length = static_cast<std::int64_t>(value.as_array().size());
        for (std::size_t i = 0; i < value.as_array().size(); ++i) {
            const Value& element = value.as_array()[i];
            if (!element.is_string()) return not_text(path, element);
            slot.position = static_cast<std::int64_t>(i);
            texts.push_back(element.as_string());
            slots.push_back(slot);
        }
        return Outcome::ok();
    }

    static Failure not_text(const FieldPath& path, const Value& value) {
        return document::failure(
            "field [" + path.text() + "] of type [" + std::string(document::java_type_name(value)) +
            "] cannot be inferred from: a string or a list of strings is expected");
    }

    bool skips(const Document& document, const FieldPath& output) const {
        return settings_.existing == Existing::skip && document.has(output);
    }

    // ---- results into documents

    void write(std::span<pipeline::AsyncItem> items, const std::vector<Slot>& slots,
               const std::vector<inference::InferItem>& results) const {
        for (std::size_t at = 0; at < slots.size();) {
            std::size_t end = at + 1;
            // The strings of one list follow each other and become one list of results.
            while (slots[at].position >= 0 && end < slots.size() && slots[end].position > 0)
                ++end;
            pipeline::AsyncItem& item = items[slots[at].item];
            if (item.outcome.is_ok()) {
                item.outcome =
                    write_one(*item.document, slots[at], {results.data() + at, end - at});
            }
            at = end;
        }
    }

    Outcome write_one(Document& document, const Slot& slot,
                      std::span<const inference::InferItem> results) const {
        for (const inference::InferItem& result : results) {
            if (!result.ok())
                return document::failure(result.error->reason, failure_type(result.error->status));
        }
        document::Arena& arena = document.arena();
        Value value;
        if (slot.position >= 0) {
            auto* list = arena.make<Array>();
            for (const inference::InferItem& result : results)
                list->push_back(predicted(result, arena), arena);
            value = Value::array(list);
        } else {
            value = predicted(results[0], arena);
        }
        if (slot.mapping == nullptr)
            return put(document, settings_.target, result_object(document, value, results));
        if (slot.element < 0) return put(document, slot.mapping->output_path, value);
        std::string path = slot.mapping->list->text() + '.' + std::to_string(slot.element) + '.' +
                           slot.mapping->output_leaf;
        auto element = FieldPath::parse(path, slot.mapping->list->access());
        if (!element) return element.error();
        return put(document, *element, value);
    }

    static Value predicted(const inference::InferItem& result, document::Arena& arena) {
        return embedding_value(result.embedding(), arena);
    }

    Value result_object(Document& document, Value value,
                        std::span<const inference::InferItem> results) const {
        document::Arena& arena = document.arena();
        auto* object = arena.make<Object>();
        object->set(settings_.results_field, value, arena);
        bool truncated = false;
        for (const inference::InferItem& result : results)
            truncated = truncated || result.is_truncated;
        if (truncated) object->set("is_truncated", Value::boolean(true), arena);
        object->set("model_id", Value::string(settings_.deployment), arena);
        return Value::object(object);
    }

    Outcome put(Document& document, const FieldPath& path, Value value) const {
        if (settings_.existing == Existing::append && document.has(path)) {
            // One more result beside those that are there: a list of vectors, not one longer
            // vector.
            auto* wrapped = document.arena().make<Array>();
            wrapped->push_back(value, document.arena());
            return document.append(path, Value::array(wrapped));
        }
        return document.set(path, value);
    }

    Settings settings_;
    DeploymentDirectoryPtr directory_;
};

// ---- options

std::string parent_of(const std::string& path) {
    std::size_t dot = path.rfind('.');
    return dot == std::string::npos ? "" : path.substr(0, dot);
}

Mapping make_mapping(const pipeline::Config& config, const std::string& input,
                     const std::string& output) {
    Mapping mapping;
    mapping.input_path = config.parse_path("input_output", input);
    mapping.output_path = config.parse_path("input_output", output);
    std::string parent = parent_of(input);
    if (!parent.empty() && parent == parent_of(output)) {
        mapping.list = config.parse_path("input_output", parent);
        mapping.input_leaf = input.substr(parent.size() + 1);
        mapping.output_leaf = output.substr(parent.size() + 1);
    }
    return mapping;
}

void read_mapping(const pipeline::Config& config, const pipeline::Node& node,
                  std::vector<Mapping>& out) {
    const pipeline::Node* input = node.find("input_field");
    const pipeline::Node* output = node.find("output_field");
    if (!node.is_map() || input == nullptr || output == nullptr || !input->is_string() ||
        !output->is_string()) {
        config.error_at(node,
                        "option [input_output] expects objects with the strings [input_field] and "
                        "[output_field]");
        return;
    }
    for (const auto& entry : node.entries) {
        if (entry.key != "input_field" && entry.key != "output_field") {
            config.error_at(entry.value,
                            "option [input_output] has an unknown member [" + entry.key + "]");
        }
    }
    if (input->text == output->text) {
        config.error_at(
            *output,
            "[output_field] must differ from [input_field]: the result would replace the text");
        return;
    }
    out.push_back(make_mapping(config, input->text, output->text));
}

void read_inference_config(const pipeline::Config& config, Settings& settings) {
    if (!config.has("inference_config")) return;
    const pipeline::Node& node = config.node("inference_config");
    if (!node.is_map() || node.entries.size() != 1 || !node.entries[0].value.is_map()) {
        config.error(
            "inference_config",
            "inference_config must be an object with one inference type mapped to an object.");
        return;
    }
    const auto& task = node.entries[0];
    if (task.key != "text_embedding") {
        config.error_at(task.value,
                        "inference type [" + task.key +
                            "] is not available in this version, only [text_embedding] is");
        return;
    }
    for (const auto& option : task.value.entries) {
        if (option.key == "results_field" && option.value.is_string()) {
            settings.results_field = option.value.text;
        } else if (option.key == "tokenization" && option.value.is_map()) {
            for (const auto& tokenizer : option.value.entries) {
                for (const auto& setting : tokenizer.value.entries) {
                    if (setting.key == "truncate" && setting.value.text == "first") {
                        settings.options.truncate = inference::Truncate::first;
                    } else if (setting.key == "truncate" && setting.value.text == "none") {
                        settings.options.truncate = inference::Truncate::none;
                    } else if (!(setting.key == "span" && setting.value.text == "-1")) {
                        config.error_at(
                            setting.value,
                            "tokenization option [" + setting.key + ": " + setting.value.text +
                                "] is not available here; [truncate] may be first or none");
                    }
                }
            }
        } else if (option.key != "embedding_size") {
            config.error_at(option.value, "[text_embedding] has no option [" + option.key + "]");
        }
    }
}

void read_inputs(const pipeline::Config& config, Settings& settings) {
    if (config.has("input_output")) {
        const pipeline::Node& node = config.node("input_output");
        if (node.is_list()) {
            for (const pipeline::Node& item : node.items)
                read_mapping(config, item, settings.mappings);
            if (node.items.empty())
                config.error("input_output", "option [input_output] is an empty list");
        } else {
            read_mapping(config, node, settings.mappings);
        }
        for (const char* other : {"target_field", "field_map"}) {
            if (config.has(other)) {
                config.error(other, std::string("options [input_output] and [") + other +
                                        "] cannot both be present");
            }
        }
        return;
    }
    if (config.has("ignore_missing")) {
        config.warning("ignore_missing",
                       "option [ignore_missing] has a meaning only with [input_output]");
    }
    std::string field = "text_field";
    if (config.has("field_map")) {
        const pipeline::Node& map = config.node("field_map");
        if (map.entries.size() != 1 || !map.entries[0].value.is_string()) {
            config.error(
                "field_map",
                "option [field_map] expects one document field mapped to the model's [text_field]");
        } else {
            field = map.entries[0].key;
        }
    }
    settings.input = config.parse_path("field_map", field);
    std::string target = config.tag().empty() ? "ml.inference" : "ml.inference." + config.tag();
    settings.target = config.path_or("target_field", target);
}

}  // namespace

pipeline::ProcessorSpec inference(DeploymentDirectoryPtr directory) {
    using pipeline::OptionType;
    return {
        .name = "inference",
        .summary =
            "Runs texts through a model deployment and writes the results into the document.",
        .description =
            "`model_id` names a *deployment* of the configuration, not a model: ingest and search "
            "run on deployments of "
            "their own, with one copy of the weights. The texts of a whole batch of documents go "
            "to the deployment "
            "together; when its queue is full the pipeline waits, and with it the source.\n\n"
            "An input may be a string or a list of strings. Where `input_field` and `output_field` "
            "lie in the same "
            "list of objects (`chunks.text` and `chunks.embedding`), every element takes part.\n\n"
            "Unlike in Elasticsearch, which appends, a result that is there already is replaced, "
            "so that a pipeline may "
            "run again over its own output; see `on_existing`.",
        .options =
            {
                {.name = "model_id", .doc = "The deployment's id.", .required = true},
                {.name = "input_output",
                 .type = OptionType::any,
                 .doc = "An object or a list of objects `{input_field, output_field}`. The output "
                        "field gets the bare "
                        "result, for a text embedding its vector."},
                {.name = "target_field",
                 .type = OptionType::field,
                 .doc = "Gets an object with the result and the `model_id`, when `input_output` is "
                        "not given. Default: "
                        "`ml.inference.<tag>`, or `ml.inference` without a tag."},
                {.name = "field_map",
                 .type = OptionType::object,
                 .doc = "Maps the document's field to the model's `text_field`. Without it the "
                        "document's own "
                        "`text_field` is read.",
                 .aliases = {"field_mappings"}},
                {.name = "inference_config",
                 .type = OptionType::object,
                 .doc = "One task's settings: `text_embedding: {results_field, tokenization: "
                        "{<type>: {truncate}}}`."},
                pipeline::ignore_missing_option(),
                {.name = "on_existing",
                 .type = OptionType::enumeration,
                 .doc = "What to do when the output is there already: write the new result over "
                        "it, append to it as "
                        "Elasticsearch does, or keep it and not infer.",
                 .default_value = "replace",
                 .values = {"replace", "append", "skip"}},
                {.name = "inference_timeout",
                 .doc = "How long a document may wait for the deployment, its queue included: "
                        "`30s`, `10m`.",
                 .default_value = "10m"},
            },
        .compile = [directory](const pipeline::Config& config) -> pipeline::StepBody {
            Settings settings;
            settings.deployment = config.string("model_id");
            check_deployment(config, *directory, "model_id", settings.deployment);
            read_inputs(config, settings);
            read_inference_config(config, settings);
            settings.ignore_missing = config.flag("ignore_missing");
            const std::string& existing = config.string("on_existing");
            settings.existing = existing == "append" ? Existing::append
                                : existing == "skip" ? Existing::skip
                                                     : Existing::replace;
            settings.options.prefix = inference::PrefixKind::ingest;
            settings.options.admission = inference::Admission::wait;
            auto timeout = inference::parse_duration(config.string("inference_timeout"));
            if (!timeout || timeout->count() <= 0) {
                config.error("inference_timeout",
                             "option [inference_timeout] expects a positive duration such as 30s");
            } else {
                settings.options.timeout = *timeout;
            }
            return pipeline::AsyncProcessorPtr(new Inference(std::move(settings), directory));
        },
    };
}

}  // namespace penstock::processors
