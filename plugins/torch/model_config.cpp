#include "plugins/torch/model_config.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>
#include <vector>

#include "plugins/torch/error.h"
#include "plugins/torch/json_file.h"

namespace penstock::plugins::torch {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// Far above any real model; keeps products of two extents inside 63 bits.
constexpr std::int64_t kLargestExtent = 100'000'000;

std::string_view view(const json::string& value) {
    return {value.data(), value.size()};
}

template <typename Value>
using Choices = std::vector<std::pair<std::string_view, Value>>;

std::string names(const auto& choices) {
    std::string list;
    for (const auto& choice : choices) {
        if (!list.empty()) list += ", ";
        list += choice.first;
    }
    return list;
}

/// Reads members of one JSON object and collects every complaint, so that a user sees all at once.
class Reader {
  public:
    Reader(const json::object& object, std::string origin)
        : object_(object), origin_(std::move(origin)) {}

    const json::value* find(const char* key) const {
        const json::value* value = object_.if_contains(key);
        return value == nullptr || value->is_null() ? nullptr : value;
    }

    std::int64_t extent(const char* key, std::optional<std::int64_t> fallback = {}) {
        const json::value* value = find(key);
        if (value == nullptr && fallback) return *fallback;
        const bool fits = value != nullptr && value->is_int64() && value->get_int64() >= 1 &&
                          value->get_int64() <= kLargestExtent;
        if (!fits) complain(key, text("a whole number from 1 to ", kLargestExtent));
        return fits ? value->get_int64() : 1;
    }

    double number(const char* key, double fallback) {
        const json::value* value = find(key);
        if (value == nullptr) return fallback;
        if (!value->is_number()) {
            complain(key, "a number");
            return fallback;
        }
        return value->to_number<double>();
    }

    template <typename Value>
    std::optional<Value> choice(const char* key, const Choices<Value>& choices) {
        const json::value* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (value->is_string()) {
            for (const auto& [name, meaning] : choices) {
                if (name == view(value->get_string())) return meaning;
            }
        }
        complain(key, "one of " + names(choices));
        return std::nullopt;
    }

    std::optional<std::string> string(const char* key) {
        const json::value* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (value->is_string()) return std::string(view(value->get_string()));
        complain(key, "a string");
        return std::nullopt;
    }

    /// true and false, and the words that model files use for them.
    std::optional<bool> flag(const char* key) {
        const json::value* value = find(key);
        if (value != nullptr && value->is_bool()) return value->get_bool();
        return choice<bool>(key, {{"l2", true}, {"none", false}});
    }

    void complain(const char* key, const std::string& expected) {
        const json::value* value = find(key);
        problem(text("'", key, "' ", value == nullptr ? "is missing: " : "must be ", expected,
                     value == nullptr ? " is expected" : ""));
    }
    void problem(const std::string& what) {
        problems_ += text(problems_.empty() ? "" : "; ", what);
    }

    void finish() const {
        if (!problems_.empty()) throw ModelError(origin_ + ": " + problems_);
    }

  private:
    const json::object& object_;
    std::string origin_;
    std::string problems_;
};

const Choices<Pooling>& poolings() {
    static const Choices<Pooling> kPoolings{{"mean", Pooling::mean},
                                            {"cls", Pooling::cls},
                                            {"max", Pooling::max},
                                            {"none", Pooling::none}};
    return kPoolings;
}

void check_heads(Reader& reader, std::int64_t width, std::int64_t heads) {
    if (width % heads != 0) {
        reader.problem(text("a width of ", width, " cannot be divided among ", heads, " heads"));
    }
}

void apply(const Options& options, EncoderConfig& config) {
    config.pooling = options.pooling.value_or(config.pooling);
    config.normalize = options.normalize.value_or(config.normalize);
    config.max_tokens =
        std::min(options.max_tokens.value_or(config.max_tokens), config.max_positions);
}

/// The pooling that a 1_Pooling/config.json switches on: one boolean member per mode.
Pooling pooling_module(const fs::path& file) {
    const json::object object = read_object(file);
    Reader reader(object, file.string());
    static constexpr std::array<std::pair<const char*, Pooling>, 3> kKnown{
        {{"pooling_mode_mean_tokens", Pooling::mean},
         {"pooling_mode_cls_token", Pooling::cls},
         {"pooling_mode_max_tokens", Pooling::max}}};
    std::vector<Pooling> chosen;
    for (const auto& member : object) {
        const std::string_view key(member.key().data(), member.key().size());
        if (!key.starts_with("pooling_mode_") || !member.value().is_bool() ||
            !member.value().get_bool()) {
            continue;
        }
        const auto known = std::ranges::find(
            kKnown, key, [](const auto& entry) { return std::string_view(entry.first); });
        if (known == kKnown.end()) {
            reader.problem(text("'", key, "' is not supported (mean, cls and max are)"));
        } else {
            chosen.push_back(known->second);
        }
    }
    reader.finish();
    if (chosen.size() != 1) {
        throw ModelError(text(file.string(), ": exactly one pooling mode is expected, ",
                              chosen.size(), " are switched on"));
    }
    return chosen.front();
}

/// One entry of modules.json: a class name such as sentence_transformers.models.Pooling and a
/// folder.
void add_module(const fs::path& directory, const json::object& entry, PoolingConfig& config) {
    Reader reader(entry, (directory / "modules.json").string());
    const std::string type = reader.string("type").value_or("");
    const fs::path folder = reader.string("path").value_or("");
    if (folder.is_absolute() || std::ranges::find(folder, "..") != folder.end()) {
        reader.problem(text("'", folder.string(), "' leaves the model's directory"));
    }
    reader.finish();
    const std::string name = type.substr(type.rfind('.') + 1);
    if (name == "Pooling") {
        config.pooling = pooling_module(directory / folder / "config.json");
    } else if (name == "Normalize") {
        config.normalize = true;
    } else if (name != "Transformer") {
        throw ModelError(text((directory / "modules.json").string(), ": the module '", type,
                              "' is not supported (Transformer, Pooling and Normalize are)"));
    }
}

}  // namespace

Options parse_options(const std::string& source) {
    const json::object object = parse_object(source.empty() ? "{}" : source, "model options");
    Reader reader(object, "model options");
    Options options;
    options.device = reader.string("device").value_or(options.device);
    options.dtype =
        reader
            .choice<std::string>("dtype",
                                 {{"auto", "auto"}, {"float32", "float32"}, {"float16", "float16"}})
            .value_or(options.dtype);
    options.pooling = reader.choice("pooling", poolings());
    options.normalize = reader.flag("normalize");
    if (reader.find("max_sequence_length") != nullptr) {
        options.max_tokens = reader.extent("max_sequence_length");
    }
    reader.finish();
    return options;
}

std::optional<std::string> model_type(const fs::path& directory) {
    const fs::path file = directory / "config.json";
    if (!fs::exists(file)) return std::nullopt;
    const json::object object = read_object(file);
    Reader reader(object, file.string());
    auto type = reader.string("model_type");
    reader.finish();
    return type;
}

EncoderConfig read_use_lite(const fs::path& directory, const Options& options) {
    const fs::path file = directory / "config.json";
    const json::object object = read_object(file);
    Reader reader(object, file.string());
    EncoderConfig config;
    config.vocab_size = reader.extent("vocab_size");
    config.embedding_size = reader.extent("embedding_size");
    config.hidden_size = reader.extent("hidden_size");
    config.intermediate_size = reader.extent("intermediate_size");
    config.layers = reader.extent("num_hidden_layers");
    config.heads = reader.extent("num_attention_heads");
    config.max_positions = reader.extent("max_position_embeddings");
    config.layer_norm_eps = reader.number("layer_norm_eps", 1e-6);
    config.embedding_scale = reader.number("embedding_scale", 1);
    config.activation = reader.choice<Activation>("hidden_act", {{"relu", Activation::relu}})
                            .value_or(Activation::relu);
    config.pooling = reader.choice("pooling", poolings()).value_or(Pooling::mean);
    config.normalize = reader.flag("normalize").value_or(true);
    reader.choice<bool>("pooled_projection", {{"tanh", true}});
    reader.choice<bool>("layer_norm_position", {{"pre", true}});
    reader.choice<bool>("position_embedding_type", {{"sinusoidal", true}});
    if (config.embedding_size % 2 != 0) reader.problem("'embedding_size' must be even");
    check_heads(reader, config.embedding_size, config.heads);
    check_heads(reader, config.hidden_size, config.heads);
    reader.finish();
    config.max_tokens = config.max_positions;
    apply(options, config);
    return config;
}

EncoderConfig read_bert(const fs::path& directory, const Options& options) {
    const fs::path file = directory / "config.json";
    const json::object object = read_object(file);
    Reader reader(object, file.string());
    EncoderConfig config;
    config.vocab_size = reader.extent("vocab_size");
    config.hidden_size = reader.extent("hidden_size");
    config.embedding_size = config.hidden_size;
    config.intermediate_size = reader.extent("intermediate_size");
    config.layers = reader.extent("num_hidden_layers");
    config.heads = reader.extent("num_attention_heads");
    config.max_positions = reader.extent("max_position_embeddings", 512);
    config.type_vocab_size = reader.extent("type_vocab_size", 2);
    config.layer_norm_eps = reader.number("layer_norm_eps", 1e-12);
    config.activation =
        reader
            .choice<Activation>("hidden_act", {{"gelu", Activation::gelu},
                                               {"gelu_new", Activation::gelu_tanh},
                                               {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                               {"relu", Activation::relu}})
            .value_or(Activation::gelu);
    reader.choice<bool>("position_embedding_type", {{"absolute", true}});
    const json::value* decoder = reader.find("is_decoder");
    if (decoder != nullptr && decoder->is_bool() && decoder->get_bool()) {
        reader.problem("'is_decoder' is true: only encoders are supported");
    }
    check_heads(reader, config.hidden_size, config.heads);
    reader.finish();

    const PoolingConfig pooling = read_pooling(directory);
    config.pooling = pooling.pooling.value_or(Pooling::mean);
    config.normalize = pooling.normalize;
    config.max_tokens = pooling.max_tokens.value_or(config.max_positions);
    apply(options, config);
    return config;
}

PoolingConfig read_pooling(const fs::path& directory) {
    PoolingConfig config;
    const fs::path modules = directory / "modules.json";
    if (fs::exists(modules)) {
        const json::value list = read_json(modules);
        if (!list.is_array()) throw ModelError(text(modules.string(), ": a list is expected"));
        for (const json::value& entry : list.get_array()) {
            if (!entry.is_object()) {
                throw ModelError(text(modules.string(), ": a list of objects is expected"));
            }
            add_module(directory, entry.get_object(), config);
        }
    } else if (fs::exists(directory / "1_Pooling" / "config.json")) {
        config.pooling = pooling_module(directory / "1_Pooling" / "config.json");
    }
    const fs::path limits = directory / "sentence_bert_config.json";
    if (fs::exists(limits)) {
        const json::object object = read_object(limits);
        Reader reader(object, limits.string());
        if (reader.find("max_seq_length") != nullptr) {
            config.max_tokens = reader.extent("max_seq_length");
        }
        reader.finish();
    }
    return config;
}

std::optional<std::int64_t> max_positions(const fs::path& directory) {
    const fs::path file = directory / "config.json";
    if (!fs::exists(file)) return std::nullopt;
    const json::object object = read_object(file);
    Reader reader(object, file.string());
    if (reader.find("max_position_embeddings") == nullptr) return std::nullopt;
    const std::int64_t limit = reader.extent("max_position_embeddings");
    reader.finish();
    return limit;
}

}  // namespace penstock::plugins::torch
