#include "tools/serve/model_upload.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

namespace fs = std::filesystem;
using document::JsonWriter;
using document::Object;
using document::Value;

namespace {

constexpr std::int64_t kMostParts = 100'000;
constexpr const char* kDescription = "trained-model.json";
constexpr const char* kParts = ".parts";
constexpr const char* kUpload = "upload.json";

ApiError unknown_model(std::string_view id) {
    return resource_not_found("No known trained model with model_id [" + std::string(id) + "]");
}

// ---- definition

int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

/// Throws ApiError 400.
std::string decode_base64(std::string_view text) {
    while (!text.empty() && text.back() == '=')
        text.remove_suffix(1);
    std::string out;
    out.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int digit = base64_digit(c);
        if (digit < 0) throw illegal_argument("[definition] is not base64");
        bits = bits << 6U | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out.push_back(static_cast<char>(bits >> count & 0xFFU));
    }
    if (count == 6) throw illegal_argument("[definition] is not base64: it is cut off");
    return out;
}

fs::path part_file(const fs::path& parts, std::int64_t number) {
    std::array<char, 32> name{};
    std::snprintf(name.data(), name.size(), "part-%06lld", static_cast<long long>(number));
    return parts / name.data();
}

void check_part(const DefinitionPart& part) {
    std::vector<std::string> problems;
    if (part.number < 0) problems.emplace_back("[part] must be greater or equal to 0");
    if (part.total_parts <= 0) problems.emplace_back("[total_parts] must be greater than 0");
    if (part.total_parts > kMostParts)
        problems.push_back("[total_parts] must be at most " + std::to_string(kMostParts));
    if (part.total_parts > 0 && part.number >= part.total_parts)
        problems.emplace_back("[part] must be less than total_parts");
    if (part.total_definition_length <= 0)
        problems.emplace_back("[total_definition_length] must be greater than 0");
    if (!problems.empty()) throw action_validation(problems);
}

/// All parts of one archive say the same of it; a part that does not begins another archive, as
/// when a client starts anew.
void agree(const fs::path& parts, const DefinitionPart& part) {
    const std::string said =
        "{\"total_parts\":" + std::to_string(part.total_parts) +
        ",\"total_definition_length\":" + std::to_string(part.total_definition_length) + "}\n";
    const fs::path file = parts / kUpload;
    if (fs::exists(file) && read_file(file) == said) return;
    fs::remove_all(parts);
    replace_file(file, said);
}

std::int64_t missing_parts(const fs::path& parts, std::int64_t total) {
    std::int64_t missing = 0;
    for (std::int64_t number = 0; number < total; ++number)
        missing += fs::exists(part_file(parts, number)) ? 0 : 1;
    return missing;
}

void append(std::ofstream& out, const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    out << in.rdbuf();
    if (!in || !out)
        throw Error("cannot assemble the model's definition from " + file.native() + ": " +
                    std::strerror(errno));
}

// ---- vocabulary

struct Vocabulary {
    std::vector<std::string_view> tokens;
    std::vector<double> scores;
    bool merges = false;
};

Vocabulary read_vocabulary(const Object& body) {
    Vocabulary vocabulary;
    for (const document::Member& member : body) {
        const std::string_view name = member.key();
        if (name != "vocabulary" && name != "merges" && name != "scores")
            throw illegal_argument("[vocabulary] unknown field [" + std::string(name) + "]");
        if (member.value.is_null()) continue;
        if (!member.value.is_array())
            throw illegal_argument("[" + std::string(name) + "] must be a list");
        for (const Value& item : member.value.as_array()) {
            const bool fits = name == "scores" ? item.is_number() : item.is_string();
            if (!fits) {
                throw illegal_argument("[" + std::string(name) + "] must hold " +
                                       (name == "scores" ? "numbers" : "strings") + ", not " +
                                       json_text(item));
            }
            if (name == "vocabulary") vocabulary.tokens.push_back(item.as_string());
            if (name == "scores") vocabulary.scores.push_back(item.to_double());
            if (name == "merges") vocabulary.merges = true;
        }
    }
    if (vocabulary.tokens.empty()) throw action_validation({"[vocabulary] must not be empty"});
    return vocabulary;
}

std::size_t require_token(const Vocabulary& vocabulary, std::string_view token,
                          std::string_view type) {
    const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), token);
    if (found != vocabulary.tokens.end())
        return static_cast<std::size_t>(found - vocabulary.tokens.begin());
    throw illegal_argument("[vocabulary] has no token [" + std::string(token) +
                           "], which tokenization type [" + std::string(type) + "] needs");
}

/// BERT's vocab.txt and tokenizer_config.json; MPNet's differ in the special tokens alone.
void write_word_piece(const fs::path& directory, const Vocabulary& vocabulary,
                      const Tokenization& tokenization) {
    const bool bert = tokenization.type == "bert";
    const std::array<std::pair<std::string_view, std::string_view>, 5> special{{
        {"unk_token", "[UNK]"},
        {"cls_token", bert ? "[CLS]" : "<s>"},
        {"sep_token", bert ? "[SEP]" : "</s>"},
        {"pad_token", bert ? "[PAD]" : "<pad>"},
        {"mask_token", bert ? "[MASK]" : "<mask>"},
    }};
    for (const std::size_t needed : {0, 1, 2})
        require_token(vocabulary, special[needed].second, tokenization.type);
    std::string lines;
    for (const std::string_view token : vocabulary.tokens) {
        if (token.find_first_of("\r\n") != std::string_view::npos)
            throw illegal_argument("[vocabulary] has a token with a line break");
        lines.append(token).push_back('\n');
    }
    std::string config;
    JsonWriter json(config);
    json.object([&] {
        json.member("do_lower_case", tokenization.do_lower_case);
        json.member("tokenize_chinese_chars", true);
        for (const auto& [name, token] : special)
            json.member(name, token);
    });
    replace_file(directory / "tokenizer_config.json", config);
    replace_file(directory / "vocab.txt", lines);
}

void write_added_token(JsonWriter& json, const Vocabulary& vocabulary, std::string_view token) {
    json.object([&] {
        json.member("id", require_token(vocabulary, token, "xlm_roberta"));
        json.member("content", token);
        json.member("special", true);
    });
}

void write_template(JsonWriter& json, const Vocabulary& vocabulary) {
    const auto token = [&](std::string_view name) {
        json.object([&] {
            json.member_object("SpecialToken", [&] {
                json.member("id", name);
                json.member("type_id", 0);
            });
        });
    };
    json.member_object("post_processor", [&] {
        json.member("type", "TemplateProcessing");
        json.member_array("single", [&] {
            token("<s>");
            json.object([&] {
                json.member_object("Sequence", [&] {
                    json.member("id", "A");
                    json.member("type_id", 0);
                });
            });
            token("</s>");
        });
        json.member_object("special_tokens", [&] {
            for (const std::string_view name : {"<s>", "</s>"}) {
                json.member_object(name, [&] {
                    json.member("id", name);
                    json.member_array(
                        "ids", [&] { json.value(require_token(vocabulary, name, "xlm_roberta")); });
                });
            }
        });
    });
}

/// SentencePiece's nmt_nfkc, spelled out: the table that it is compiled to is not in the request.
void write_normalizer(JsonWriter& json) {
    json.member_object("normalizer", [&] {
        json.member("type", "Sequence");
        json.member_array("normalizers", [&] {
            json.object([&] { json.member("type", "Nmt"); });
            json.object([&] { json.member("type", "NFKC"); });
            json.object([&] {
                json.member("type", "Replace");
                json.member_object("pattern", [&] { json.member("Regex", " {2,}"); });
                json.member("content", " ");
            });
        });
    });
}

/// tokenizer.json with a Unigram model, as HuggingFace writes it for XLM-RoBERTa.
void write_unigram(const fs::path& directory, const Vocabulary& vocabulary) {
    if (vocabulary.scores.size() != vocabulary.tokens.size()) {
        throw action_validation({vocabulary.scores.empty()
                                     ? "[scores] must be provided for tokenization [xlm_roberta]"
                                     : "[scores] must have same length as [vocabulary]"});
    }
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("version", "1.0");
        json.member_array("added_tokens", [&] {
            for (const std::string_view token : {"<s>", "<pad>", "</s>", "<unk>", "<mask>"})
                write_added_token(json, vocabulary, token);
        });
        write_normalizer(json);
        json.member_object("pre_tokenizer", [&] {
            json.member("type", "Metaspace");
            json.member("replacement", "\u2581");
            json.member("prepend_scheme", "always");
        });
        write_template(json, vocabulary);
        json.member_object("model", [&] {
            json.member("type", "Unigram");
            json.member("unk_id", require_token(vocabulary, "<unk>", "xlm_roberta"));
            json.member_array("vocab", [&] {
                for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
                    json.array([&] {
                        json.value(vocabulary.tokens[i]);
                        json.value(vocabulary.scores[i]);
                    });
                }
            });
        });
    });
    replace_file(directory / "tokenizer.json", out);
}

}  // namespace

bool is_model_id(std::string_view id) {
    const auto alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    };
    const auto allowed = [&](char c) {
        return alphanumeric(c) || c == '_' || c == '-' || c == '.';
    };
    constexpr std::size_t most = 64;
    return !id.empty() && id.size() <= most && alphanumeric(id.front()) &&
           alphanumeric(id.back()) && std::all_of(id.begin(), id.end(), allowed);
}

ModelUploads::ModelUploads(fs::path root) : root_(std::move(root)) {}

fs::path ModelUploads::directory(std::string_view id) const {
    return is_model_id(id) ? root_ / id : fs::path();
}

void ModelUploads::create(const ModelDescription& model) const {
    if (!is_model_id(model.id)) {
        throw action_validation(
            {"Invalid model_id; '" + model.id +
             "' can contain lowercase alphanumeric (a-z and 0-9), hyphens, underscores or dots, "
             "must start and end with alphanumeric and have at most 64 characters"});
    }
    const fs::path where = directory(model.id);
    replace_file(where / "penstock-model.yaml", to_manifest(model));
    replace_file(where / kDescription, to_json(model));
}

std::optional<ModelDescription> ModelUploads::describe(std::string_view id) const {
    const fs::path where = directory(id);
    if (where.empty() || !fs::exists(where / kDescription)) return std::nullopt;
    JsonBody body;
    const std::optional<std::string> text = read_file(where / kDescription);
    if (!text) throw StorageError("cannot read " + (where / kDescription).native());
    body.parse(*text);
    return parse_description(std::string(id), body.root());
}

bool ModelUploads::put_part(std::string_view id, const DefinitionPart& part) {
    check_part(part);
    if (!describe(id)) throw unknown_model(id);
    const std::string bytes = decode_base64(part.definition);
    if (bytes.empty()) throw action_validation({"[definition] must not be empty"});
    const fs::path where = directory(id);
    const fs::path parts = where / kParts;
    std::lock_guard lock(mutex_);
    agree(parts, part);
    replace_file(part_file(parts, part.number), bytes);
    if (missing_parts(parts, part.total_parts) > 0) return false;
    assemble(where, part);
    return true;
}

void ModelUploads::assemble(const fs::path& where, const DefinitionPart& last) const {
    const fs::path parts = where / kParts;
    const fs::path whole = parts / "model.pt";
    std::ofstream out(whole, std::ios::binary | std::ios::trunc);
    for (std::int64_t number = 0; number < last.total_parts; ++number)
        append(out, part_file(parts, number));
    out.close();
    if (!out) throw Error("cannot write " + whole.native() + ": " + std::strerror(errno));
    const auto length = static_cast<std::int64_t>(fs::file_size(whole));
    if (length != last.total_definition_length) {
        fs::remove_all(parts);
        throw illegal_argument("the parts have " + std::to_string(length) +
                               " bytes together, and [total_definition_length] says " +
                               std::to_string(last.total_definition_length) +
                               "; put all parts again");
    }
    sync_file(whole);
    fs::rename(whole, where / "model.pt");
    fs::remove_all(parts);
    sync_directory(where);
}

void ModelUploads::put_vocabulary(std::string_view id, const Object& body) const {
    const auto model = describe(id);
    if (!model) throw unknown_model(id);
    const Vocabulary vocabulary = read_vocabulary(body);
    const std::string& type = model->tokenization.type;
    // Byte-level merges are another tokenizer's; taking them and not using them would change every
    // embedding.
    if (vocabulary.merges)
        throw illegal_argument("[merges] do not belong to tokenization type [" + type + "]");
    if (type == "xlm_roberta") {
        write_unigram(directory(id), vocabulary);
    } else {
        write_word_piece(directory(id), vocabulary, model->tokenization);
    }
}

bool ModelUploads::remove(std::string_view id) {
    if (!describe(id)) return false;
    std::lock_guard lock(mutex_);
    // Gone in one step for the model store; what a crash leaves behind has a name that it skips.
    const fs::path removed = root_ / ("." + std::string(id) + ".removed");
    fs::remove_all(removed);
    fs::rename(directory(id), removed);
    fs::remove_all(removed);
    return true;
}

}  // namespace penstock::serve
