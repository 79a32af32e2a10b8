// BERT's `vocab.txt` with `tokenizer_config.json`, and the choice between the formats.
#include <algorithm>
#include <unordered_map>

#include "engine/text/json_node.h"
#include "engine/text/tokenizer_files.h"

namespace penstock::text {
namespace {

struct BertConfig {
    BertNormalizerOptions normalizer;
    std::string unknown = "[UNK]";
    std::string begin = "[CLS]";
    std::string end = "[SEP]";
    std::vector<std::string> others = {"[PAD]", "[MASK]"};
};

/// A special token is written as its text or as an object with the text in `content`.
void read_special_token(const JsonNode& config, std::string_view key, std::string& out) {
    const auto node = config.find(key);
    if (node) out = node->is_object() ? node->at("content").string() : node->string();
}

BertConfig read_config(const std::filesystem::path& file) {
    BertConfig config;
    if (!std::filesystem::exists(file)) return config;
    const JsonFile json(file);
    const JsonNode root = json.root();
    config.normalizer.lowercase = root.boolean("do_lower_case", true);
    config.normalizer.handle_chinese_chars = root.boolean("tokenize_chinese_chars", true);
    if (const auto strip = root.find("strip_accents"))
        config.normalizer.strip_accents = strip->boolean();
    read_special_token(root, "unk_token", config.unknown);
    read_special_token(root, "cls_token", config.begin);
    read_special_token(root, "sep_token", config.end);
    read_special_token(root, "pad_token", config.others[0]);
    read_special_token(root, "mask_token", config.others[1]);
    if (const auto more = root.find("additional_special_tokens")) {
        for (std::size_t index = 0; index < more->array().size(); ++index) {
            const JsonNode token = more->element(index);
            config.others.emplace_back(token.is_object() ? token.at("content").string()
                                                         : token.string());
        }
    }
    return config;
}

std::vector<std::string> read_lines(const std::filesystem::path& file) {
    const std::string content = read_file(file);
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < content.size();) {
        const std::size_t end = std::min(content.find('\n', begin), content.size());
        lines.push_back(content.substr(begin, end - begin));
        if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
        begin = end + 1;
    }
    return lines;
}

bool has_model_type(const std::filesystem::path& config, std::string_view type) {
    if (!std::filesystem::exists(config)) return false;
    const JsonFile json(config);
    return json.root().string("model_type", "") == type;
}

}  // namespace

TokenizerParts read_vocabulary_text(const std::filesystem::path& vocabulary,
                                    const std::filesystem::path& config_file) {
    const BertConfig config = read_config(config_file);
    TokenizerParts parts;
    parts.tokens = read_lines(vocabulary);
    std::unordered_map<std::string_view, std::int32_t> ids;
    for (std::size_t id = 0; id < parts.tokens.size(); ++id)
        ids[parts.tokens[id]] = static_cast<std::int32_t>(id);
    const auto require_id = [&](const std::string& token) {
        const auto found = ids.find(token);
        if (found == ids.end()) {
            throw Error(vocabulary.string() + ": has no special token '" + token + "' (" +
                        std::to_string(parts.tokens.size()) +
                        " tokens read); is the file cut off?");
        }
        return found->second;
    };

    WordPieceOptions options;
    options.unknown_id = require_id(config.unknown);
    options.tokens = parts.tokens;
    parts.model = make_word_piece(options);
    parts.normalizers.push_back(make_bert_normalizer(config.normalizer));
    parts.pre_tokenizers.push_back(make_bert_pre_tokenizer());
    parts.prefix_ids = {require_id(config.begin)};
    parts.suffix_ids = {require_id(config.end)};
    std::vector<std::string> special = config.others;
    special.insert(special.end(), {config.unknown, config.begin, config.end});
    for (const std::string& token : special) {
        const auto found = ids.find(token);
        if (found == ids.end()) continue;
        AddedToken added;
        added.id = found->second;
        added.content = to_code_points(token);
        parts.added_tokens.push_back(std::move(added));
    }
    return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
    if (std::filesystem::exists(directory / "tokenizer.json")) {
        const bool tensorflow_js = has_model_type(directory / "config.json", "use-lite");
        return compose_tokenizer(read_tokenizer_json(directory / "tokenizer.json", tensorflow_js));
    }
    if (std::filesystem::exists(directory / "vocab.txt")) {
        return compose_tokenizer(
            read_vocabulary_text(directory / "vocab.txt", directory / "tokenizer_config.json"));
    }
    throw Error(directory.string() +
                ": has neither tokenizer.json nor vocab.txt, one of which must hold the tokenizer");
}

}  // namespace penstock::text
