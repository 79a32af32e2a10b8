#include "tools/serve/ml_description.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>

#include "engine/inference/model_manifest.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

using document::JsonWriter;
using document::Member;
using document::Object;
using document::Value;

namespace {

constexpr std::string_view kTask = "text_embedding";
constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();

using Field = std::function<void(const Value&)>;
using Fields = std::map<std::string_view, Field>;

ApiError wrong_type(std::string_view object, std::string_view field) {
    return {400, "x_content_parse_exception",
            "[" + std::string(object) + "] failed to parse field [" + std::string(field) + "]"};
}

/// Reads the members of an object; those that nobody knows are refused, and nulls are absent.
void read_object(std::string_view name, const Object& object, const Fields& fields) {
    for (const Member& member : object) {
        const auto field = fields.find(member.key());
        if (field == fields.end()) {
            throw ApiError(
                400, "x_content_parse_exception",
                "[" + std::string(name) + "] unknown field [" + std::string(member.key()) + "]");
        }
        if (!member.value.is_null() && field->second) field->second(member.value);
    }
}

Field text(std::string_view object, std::string_view field, std::string& out) {
    return [=, &out](const Value& value) {
        if (!value.is_string()) throw wrong_type(object, field);
        out = value.as_string();
    };
}

Field flag(std::string_view object, std::string_view field, bool& out) {
    return [=, &out](const Value& value) {
        if (!value.is_boolean()) throw wrong_type(object, field);
        out = value.as_boolean();
    };
}

Field texts(std::string_view object, std::string_view field, std::vector<std::string>& out) {
    return [=, &out](const Value& value) {
        if (!value.is_array()) throw wrong_type(object, field);
        out.clear();
        for (const Value& item : value.as_array()) {
            if (!item.is_string()) throw wrong_type(object, field);
            out.emplace_back(item.as_string());
        }
    };
}

Field positive(std::string_view object, std::string_view field,
               std::function<void(std::int64_t)> set) {
    return [=](const Value& value) {
        if (!value.is_integer()) throw wrong_type(object, field);
        if (value.as_integer() < 1 || value.as_integer() > kMostTokens) {
            throw illegal_argument("[" + std::string(field) + "] must be a positive integer; got " +
                                   std::to_string(value.as_integer()));
        }
        set(value.as_integer());
    };
}

Field json(std::string_view object, std::string_view field, std::string& out) {
    return [=, &out](const Value& value) {
        if (!value.is_object()) throw wrong_type(object, field);
        out = json_text(value);
    };
}

// ---- inference_config

void read_truncate(const Value& value, std::string& out) {
    const std::string wanted = value.is_string() ? std::string(value.as_string()) : "";
    if (wanted != "first" && wanted != "second" && wanted != "none") {
        throw illegal_argument("[truncate] must be first, second or none for this tokenizer, not " +
                               json_text(value));
    }
    out = wanted;
}

void read_span(const Value& value) {
    if (value.is_integer() && value.as_integer() == -1) return;
    throw illegal_argument(
        "[span] is not supported: a text is one sequence; use the chunk processor for long texts");
}

void read_tokenization(const Value& value, Tokenization& out) {
    if (!value.is_object() || value.as_object().size() != 1)
        throw illegal_argument("[tokenization] must name exactly one tokenizer");
    const Member& tokenizer = value.as_object()[0];
    static constexpr std::array<std::string_view, 3> supported{"bert", "mpnet", "xlm_roberta"};
    out.type = tokenizer.key();
    if (std::find(supported.begin(), supported.end(), tokenizer.key()) == supported.end()) {
        throw illegal_argument("tokenization type [" + out.type +
                               "] is not supported; supported are bert, mpnet and xlm_roberta");
    }
    if (!tokenizer.value.is_object()) throw wrong_type("tokenization", out.type);
    const std::string& name = out.type;
    read_object(
        name, tokenizer.value.as_object(),
        {{"do_lower_case", flag(name, "do_lower_case", out.do_lower_case)},
         {"with_special_tokens", flag(name, "with_special_tokens", out.with_special_tokens)},
         {"max_sequence_length",
          positive(name, "max_sequence_length", [&](auto n) { out.max_sequence_length = n; })},
         {"truncate", [&](const Value& v) { read_truncate(v, out.truncate); }},
         {"span", read_span}});
}

/// The options of the one task; throws ApiError when it is none or another one.
const Object& only_task(const Value& config) {
    if (!config.is_object() || config.as_object().size() != 1 ||
        !config.as_object()[0].value.is_object()) {
        throw illegal_argument(
            "inference_config must be an object with one inference type mapped to an object.");
    }
    const Member& task = config.as_object()[0];
    if (task.key() != kTask) {
        throw illegal_argument("inference type [" + std::string(task.key()) +
                               "] is not available in this version; available: text_embedding");
    }
    return task.value.as_object();
}

void read_inference_config(const Value& config, ModelDescription& out) {
    read_object(
        kTask, only_task(config),
        {{"tokenization", [&](const Value& v) { read_tokenization(v, out.tokenization); }},
         {"results_field", text(kTask, "results_field", out.results_field)},
         {"embedding_size",
          positive(kTask, "embedding_size", [&](std::int64_t n) { out.embedding_size = n; })},
         // Says in which index Elasticsearch keeps the vocabulary; here it lies with the model.
         {"vocabulary", nullptr}});
}

void write_inference_config(JsonWriter& json, const ModelDescription& model) {
    json.object([&] {
        json.member_object(kTask, [&] {
            json.member_object("vocabulary", [&] { json.member("index", ".ml-inference"); });
            json.member_object("tokenization", [&] {
                const Tokenization& tokens = model.tokenization;
                json.member_object(tokens.type, [&] {
                    json.member("do_lower_case", tokens.do_lower_case);
                    json.member("with_special_tokens", tokens.with_special_tokens);
                    json.member("max_sequence_length", tokens.max_sequence_length);
                    json.member("truncate", tokens.truncate);
                    json.member("span", -1);
                });
            });
            if (model.results_field != "predicted_value")
                json.member("results_field", model.results_field);
            if (model.embedding_size) json.member("embedding_size", *model.embedding_size);
        });
    });
}

// ---- the whole body

void read_model_type(const Value& value) {
    if (value.is_string() && value.as_string() == "pytorch") return;
    throw illegal_argument("[model_type] " + json_text(value) +
                           " is not supported; supported is pytorch");
}

void read_platform(const Value& value, std::string& out) {
    text("trained_model_config", "platform_architecture", out)(value);
    utsname system{};
    ::uname(&system);
    const std::string machine = std::string("linux-") + system.machine;
    if (out == machine) return;
    throw illegal_argument("The model being deployed is platform specific and incompatible with " +
                           std::string("this server: it is for [") + out + "], this is [" +
                           machine + "]");
}

void read_prefixes(const Value& value, ModelDescription& out) {
    if (!value.is_object()) throw wrong_type("trained_model_config", "prefix_strings");
    read_object("prefix_strings", value.as_object(),
                {{"ingest", text("prefix_strings", "ingest", out.prefix_ingest)},
                 {"search", text("prefix_strings", "search", out.prefix_search)}});
}

void read_input(const Value& value, ModelDescription& out) {
    if (!value.is_object()) throw wrong_type("trained_model_config", "input");
    read_object("input", value.as_object(),
                {{"field_names", texts("input", "field_names", out.input_fields)}});
    if (out.input_fields.empty())
        throw action_validation({"[input.field_names] must not be empty"});
}

Field refused(std::string_view field, std::string_view why) {
    return [=](const Value&) {
        throw illegal_argument("[" + std::string(field) + "] " + std::string(why));
    };
}

Fields body_fields(ModelDescription& out) {
    constexpr std::string_view name = "trained_model_config";
    const Field in_parts =
        refused("definition", "is put in parts: PUT _ml/trained_models/{id}/definition/{part}");
    return {
        {"model_id", nullptr},
        {"model_type", read_model_type},
        {"description", text(name, "description", out.description)},
        {"created_by", text(name, "created_by", out.created_by)},
        {"create_time",
         [&out](const Value& v) { out.create_time = v.is_integer() ? v.as_integer() : 0; }},
        {"tags", texts(name, "tags", out.tags)},
        {"metadata", json(name, "metadata", out.metadata)},
        {"input", [&out](const Value& v) { read_input(v, out); }},
        {"inference_config", [&out](const Value& v) { read_inference_config(v, out); }},
        {"prefix_strings", [&out](const Value& v) { read_prefixes(v, out); }},
        {"platform_architecture",
         [&out](const Value& v) { read_platform(v, out.platform_architecture); }},
        {"definition", in_parts},
        {"compressed_definition", in_parts},
        {"location", refused("location", "is not supported")},
        {"model_package", refused("model_package", "is not supported: models are not downloaded")},
        // What the files say themselves.
        {"model_size_bytes", nullptr},
        {"estimated_operations", nullptr},
        {"estimated_heap_memory_usage_bytes", nullptr},
        {"version", nullptr},
        {"license_level", nullptr},
        {"default_field_map", refused("default_field_map", "is not supported for pytorch models")},
    };
}

void write_prefixes(JsonWriter& json, const ModelDescription& model) {
    if (model.prefix_ingest.empty() && model.prefix_search.empty()) return;
    json.member_object("prefix_strings", [&] {
        if (!model.prefix_ingest.empty()) json.member("ingest", model.prefix_ingest);
        if (!model.prefix_search.empty()) json.member("search", model.prefix_search);
    });
}

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
    json.member_array(name, [&] {
        for (const std::string& each : texts)
            json.value(each);
    });
}

/// What both the stored form and the API show.
void write_common(JsonWriter& json, const ModelDescription& model) {
    json.member("model_id", model.id);
    json.member("model_type", "pytorch");
    json.member("created_by", model.created_by);
    json.member("create_time", model.create_time);
    if (!model.description.empty()) json.member("description", model.description);
    write_texts(json, "tags", model.tags);
    if (!model.metadata.empty()) json.member_raw("metadata", model.metadata);
    json.member_object("input", [&] { write_texts(json, "field_names", model.input_fields); });
    json.member_raw("inference_config", model.inference_config);
    if (!model.platform_architecture.empty())
        json.member("platform_architecture", model.platform_architecture);
    write_prefixes(json, model);
}

std::string inference_config_json(const ModelDescription& model) {
    std::string out;
    JsonWriter json(out);
    write_inference_config(json, model);
    return out;
}

std::string json_string(std::string_view text) {
    std::string out;
    document::write_json_string(text, out);
    return out;
}

}  // namespace

ModelDescription parse_description(std::string id, const Object& body) {
    ModelDescription model;
    model.id = std::move(id);
    const Value* type = member(body, "model_type");
    if (type == nullptr) {
        throw illegal_argument(
            "[model_type] is missing, which means tree_ensemble; supported is pytorch");
    }
    read_object("trained_model_config", body, body_fields(model));
    if (member(body, "inference_config") == nullptr)
        throw action_validation({"[inference_config] must not be null"});
    model.inference_config = inference_config_json(model);
    return model;
}

ModelDescription describe_directory(const inference::ModelSummary& files) {
    const inference::ModelManifest manifest = inference::load_manifest(files.directory);
    const inference::InferenceDefaults& defaults = manifest.inference_config;
    ModelDescription model;
    model.id = files.model_id;
    model.description = manifest.description;
    model.created_by = "_file";
    // The directory's time stands for the model's; clocks of files and of the system have the same
    // epoch only by conversion.
    std::error_code gone;
    const auto written = std::filesystem::last_write_time(files.directory, gone);
    if (!gone) {
        model.create_time = milliseconds(std::chrono::time_point_cast<std::chrono::milliseconds>(
            std::chrono::file_clock::to_sys(written)));
    }
    model.prefix_ingest = manifest.prefix_ingest;
    model.prefix_search = manifest.prefix_search;
    model.embedding_size = defaults.embedding_size;
    if (!defaults.results_field.empty()) model.results_field = defaults.results_field;
    Tokenization& tokens = model.tokenization;
    tokens.with_special_tokens = defaults.with_special_tokens;
    tokens.truncate = defaults.truncate == inference::Truncate::none ? "none" : "first";
    tokens.max_sequence_length = defaults.max_sequence_length.value_or(
        manifest.max_sequence_length.value_or(tokens.max_sequence_length));
    model.inference_config = inference_config_json(model);
    return model;
}

std::string to_json(const ModelDescription& model) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { write_common(json, model); });
    return out;
}

std::string to_manifest(const ModelDescription& model) {
    const Tokenization& tokens = model.tokenization;
    std::string out = "# Written from what PUT _ml/trained_models said.\n";
    // JSON strings are YAML, whatever is in them.
    out += "description: " + json_string(model.description) + "\n";
    out += "task_type: text_embedding\n";
    out += "prefix_strings:\n  ingest: " + json_string(model.prefix_ingest) +
           "\n  search: " + json_string(model.prefix_search) + "\n";
    out += "inference_config:\n  text_embedding:\n";
    out += "    results_field: " + json_string(model.results_field) + "\n";
    if (model.embedding_size)
        out += "    embedding_size: " + std::to_string(*model.embedding_size) + "\n";
    out += "    tokenization:\n      truncate: " + tokens.truncate + "\n";
    out += "      max_sequence_length: " + std::to_string(tokens.max_sequence_length) + "\n";
    out += std::string("      with_special_tokens: ") +
           (tokens.with_special_tokens ? "true" : "false") + "\n";
    // The archive itself does not know how long its inputs may be.
    out += "max_sequence_length: " + std::to_string(tokens.max_sequence_length) + "\n";
    return out;
}

void write_config(JsonWriter& json, const ModelDescription& model,
                  const inference::ModelSummary& files, const std::vector<std::string>& aliases,
                  std::optional<bool> fully_defined) {
    write_common(json, model);
    json.member("model_size_bytes", files.model_size_bytes);
    json.member("estimated_operations", 0);
    json.member("license_level", "basic");
    if (!aliases.empty()) write_texts(json, "model_aliases", aliases);
    if (fully_defined) json.member("fully_defined", *fully_defined);
    json.member_object("location", [&] {
        json.member_object("index", [&] { json.member("name", ".ml-inference"); });
    });
}

InferenceUpdate parse_update(const ModelDescription& model, const Value* config) {
    InferenceUpdate update;
    update.results_field = model.results_field;
    if (config == nullptr) return update;
    if (config->is_object() && config->as_object().size() == 1 &&
        config->as_object()[0].key() != kTask) {
        throw ApiError(403, "status_exception",
                       "Trained model [" + model.id + "] is configured for task [" +
                           std::string(kTask) + "] but called with task [" +
                           std::string(config->as_object()[0].key()) + "]");
    }
    Tokenization tokens;
    tokens.truncate.clear();
    const auto tokenization = [&](const Value& value) {
        if (!value.is_object() || value.as_object().size() != 1 ||
            !value.as_object()[0].value.is_object())
            throw illegal_argument("[tokenization] must name exactly one tokenizer");
        read_object(value.as_object()[0].key(), value.as_object()[0].value.as_object(),
                    {{"truncate", [&](const Value& v) { read_truncate(v, tokens.truncate); }},
                     {"span", read_span}});
    };
    read_object(kTask, only_task(*config),
                {{"results_field", text(kTask, "results_field", update.results_field)},
                 {"tokenization", tokenization}});
    if (!tokens.truncate.empty()) {
        update.truncate =
            tokens.truncate == "none" ? inference::Truncate::none : inference::Truncate::first;
    }
    return update;
}

}  // namespace penstock::serve
