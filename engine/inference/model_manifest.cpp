#include "engine/inference/model_manifest.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock::inference {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "penstock-model.yaml";

// Reads nodes into values and keeps every mistake it meets.
class Reader {
  public:
    explicit Reader(std::string file) : file_(std::move(file)) {}

    using Field = std::function<void(const YAML::Node&)>;

    void problem(const YAML::Mark& mark, const std::string& message) {
        const bool known = mark.line >= 0;
        problems_ +=
            (problems_.empty() ? "" : "\n") + file_ + ":" +
            (known ? std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ":"
                   : std::string()) +
            " " + message;
    }

    void object(const YAML::Node& node, const std::string& path,
                const std::map<std::string, Field>& fields) {
        if (!node.IsMap()) return problem(node.Mark(), path + " must be a mapping");
        std::set<std::string> seen;
        for (const auto& entry : node) {
            if (!entry.first.IsScalar()) {
                problem(entry.first.Mark(), path + " has a key that is not a string");
                continue;
            }
            const std::string key = entry.first.Scalar();
            if (!seen.insert(key).second)
                problem(entry.first.Mark(), "[" + key + "] is there twice");
            const auto field = fields.find(key);
            if (field == fields.end()) {
                std::string text = "unknown option [";
                text.append(key).append("] in ").append(path).append("; known: ");
                problem(entry.first.Mark(), text.append(names(fields)));
            } else if (entry.second.IsDefined() && !entry.second.IsNull()) {
                field->second(entry.second);
            }
        }
    }

    Field text(std::string& out) {
        return [this, &out](const YAML::Node& node) {
            if (!node.IsScalar()) return problem(node.Mark(), "expected a string");
            out = node.Scalar();
        };
    }

    Field boolean(std::function<void(bool)> set) {
        return [this, set](const YAML::Node& node) {
            const std::string value = node.IsScalar() ? node.Scalar() : "";
            if (value != "true" && value != "false") {
                return problem(node.Mark(), "expected true or false");
            }
            set(value == "true");
        };
    }

    Field positive(std::optional<std::int64_t>& out) {
        return [this, &out](const YAML::Node& node) {
            std::int64_t value = 0;
            if (!node.IsScalar() || !YAML::convert<std::int64_t>::decode(node, value) ||
                value < 1) {
                return problem(node.Mark(), "expected a positive integer");
            }
            out = value;
        };
    }

    Field choice(std::vector<std::string> choices, std::function<void(const std::string&)> set) {
        return [this, choices, set](const YAML::Node& node) {
            std::string known;
            for (const std::string& one : choices) {
                if (node.IsScalar() && node.Scalar() == one) return set(one);
                known += (known.empty() ? "" : ", ") + one;
            }
            problem(node.Mark(), "expected one of: " + known);
        };
    }

    void finish() const {
        if (!problems_.empty()) throw Error(problems_);
    }

  private:
    static std::string names(const std::map<std::string, Field>& fields) {
        std::string all;
        for (const auto& [name, field] : fields)
            all += (all.empty() ? "" : ", ") + name;
        return all;
    }

    std::string file_;
    std::string problems_;
};

std::map<std::string, Reader::Field> tokenization_fields(Reader& reader, InferenceDefaults& out) {
    return {
        // A single text is its own "second" sequence, so both cut it; nothing else takes pairs yet.
        {"truncate", reader.choice({"first", "second", "none"},
                                   [&out](const std::string& value) {
                                       out.truncate =
                                           value == "none" ? Truncate::none : Truncate::first;
                                   })},
        {"max_sequence_length", reader.positive(out.max_sequence_length)},
        {"with_special_tokens",
         reader.boolean([&out](bool value) { out.with_special_tokens = value; })},
        // Windows are the chunk processor's; -1 is the reference's "off".
        {"span", reader.choice({"-1"}, [](const std::string&) {})},
    };
}

// `tokenization` holds the options, or, as Elasticsearch writes it, one tokenizer's name over them.
Reader::Field tokenization(Reader& reader, InferenceDefaults& out) {
    return [&reader, &out](const YAML::Node& node) {
        auto fields = tokenization_fields(reader, out);
        const auto options = fields;
        for (const char* type :
             {"bert", "bert_ja", "mpnet", "roberta", "xlm_roberta", "deberta_v2"}) {
            fields[type] = [&reader, options, type](const YAML::Node& inner) {
                reader.object(inner, std::string("tokenization.") + type, options);
            };
        }
        reader.object(node, "tokenization", fields);
    };
}

Reader::Field inference_config(Reader& reader, ModelManifest& out) {
    return [&reader, &out](const YAML::Node& node) {
        InferenceDefaults& defaults = out.inference_config;
        const Reader::Field task = [&](const YAML::Node& inner) {
            reader.object(inner, "inference_config." + std::string(name(TaskType::text_embedding)),
                          {{"results_field", reader.text(defaults.results_field)},
                           {"embedding_size", reader.positive(defaults.embedding_size)},
                           {"tokenization", tokenization(reader, defaults)}});
        };
        reader.object(node, "inference_config", {{"text_embedding", task}});
    };
}

std::map<std::string, Reader::Field> manifest_fields(Reader& reader, ModelManifest& out) {
    return {
        {"description", reader.text(out.description)},
        {"task_type",
         [&](const YAML::Node& node) {
             const auto type = parse_task_type(node.IsScalar() ? node.Scalar() : "");
             if (!type)
                 return reader.problem(node.Mark(), "[task_type] is not a task type that we know");
             out.task_type = *type;
         }},
        {"pooling", reader.choice({"mean", "cls", "max"},
                                  [&](const std::string& value) { out.pooling = value; })},
        {"normalize", reader.boolean([&](bool value) { out.normalize = value; })},
        {"prefix_strings",
         [&](const YAML::Node& node) {
             reader.object(node, "prefix_strings",
                           {{"ingest", reader.text(out.prefix_ingest)},
                            {"search", reader.text(out.prefix_search)}});
         }},
        {"dtype", reader.choice({"auto", "float32", "float16"},
                                [&](const std::string& value) { out.dtype = value; })},
        {"max_sequence_length", reader.positive(out.max_sequence_length)},
        {"inference_config", inference_config(reader, out)},
    };
}

}  // namespace

ModelManifest load_manifest(const fs::path& directory) {
    const fs::path file = directory / kFileName;
    ModelManifest manifest;
    if (!fs::exists(file)) return manifest;
    Reader reader(file.string());
    try {
        const YAML::Node root = YAML::LoadFile(file.string());
        if (!root.IsNull()) reader.object(root, kFileName, manifest_fields(reader, manifest));
    } catch (const YAML::Exception& error) {
        reader.problem(error.mark, error.msg);
    }
    reader.finish();
    return manifest;
}

}  // namespace penstock::inference
