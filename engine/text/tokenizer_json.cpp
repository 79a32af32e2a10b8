// HuggingFace's `tokenizer.json`.
#include <cmath>

#include "engine/text/json_node.h"
#include "engine/text/tokenizer_files.h"

namespace penstock::text {
namespace {

// TensorFlow.js' tokenizer of Universal Sentence Encoder Lite never looks for the first six pieces.
constexpr std::size_t kTensorflowJsReserved = 6;

/// Runs `make`, whose errors do not know the file, and says where they come from.
template <typename Make>
auto located(const JsonNode& node, Make make) {
    try {
        return make();
    } catch (const Error& error) {
        node.fail(error.what());
    }
}

std::string decode_base64(const JsonNode& node) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char letter : node.string()) {
        static constexpr std::string_view kAlphabet =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        if (letter == '=') break;
        const std::size_t digit = kAlphabet.find(letter);
        if (digit == std::string_view::npos) node.fail("is not base64");
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>(bits >> count & 0xFF));
        }
    }
    return out;
}

NormalizerPtr read_replace(const JsonNode& node) {
    const JsonNode pattern = node.at("pattern");
    const std::string_view content = node.at("content").string();
    return located(node, [&]() -> NormalizerPtr {
        if (const auto literal = pattern.find("String"))
            return make_replace_normalizer(literal->string(), content);
        if (const auto regex = pattern.find("Regex"))
            return make_regex_replace_normalizer(regex->string(), content);
        pattern.fail("must have 'String' or 'Regex'");
    });
}

void read_normalizer(const JsonNode& node, std::vector<NormalizerPtr>& out) {
    const std::string_view type = node.at("type").string();
    if (type == "Sequence") {
        const JsonNode steps = node.at("normalizers");
        for (std::size_t index = 0; index < steps.array().size(); ++index)
            read_normalizer(steps.element(index), out);
    } else if (type == "BertNormalizer") {
        BertNormalizerOptions options;
        options.clean_text = node.boolean("clean_text", true);
        options.handle_chinese_chars = node.boolean("handle_chinese_chars", true);
        options.lowercase = node.boolean("lowercase", true);
        if (const auto strip = node.find("strip_accents")) options.strip_accents = strip->boolean();
        out.push_back(make_bert_normalizer(options));
    } else if (type == "NFC") {
        out.push_back(make_unicode_normalizer(UnicodeForm::nfc));
    } else if (type == "NFD") {
        out.push_back(make_unicode_normalizer(UnicodeForm::nfd));
    } else if (type == "NFKC") {
        out.push_back(make_unicode_normalizer(UnicodeForm::nfkc));
    } else if (type == "NFKD") {
        out.push_back(make_unicode_normalizer(UnicodeForm::nfkd));
    } else if (type == "Lowercase") {
        out.push_back(make_lowercase_normalizer());
    } else if (type == "StripAccents") {
        out.push_back(make_strip_accents_normalizer());
    } else if (type == "Strip") {
        out.push_back(make_strip_normalizer(node.boolean("strip_left", true),
                                            node.boolean("strip_right", true)));
    } else if (type == "Nmt") {
        out.push_back(make_nmt_normalizer());
    } else if (type == "Prepend") {
        out.push_back(make_prepend_normalizer(node.at("prepend").string()));
    } else if (type == "Replace") {
        out.push_back(read_replace(node));
    } else if (type == "Precompiled") {
        const JsonNode charsmap = node.at("precompiled_charsmap");
        if (charsmap.string().empty()) return;
        const std::string bytes = decode_base64(charsmap);
        out.push_back(located(node, [&] { return make_precompiled_normalizer(bytes); }));
    } else {
        node.fail("normaliser type '" + std::string(type) +
                  "' is not supported (supported: BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, "
                  "Nmt, Precompiled, "
                  "Prepend, Replace, Sequence, Strip, StripAccents)");
    }
}

PreTokenizerPtr read_metaspace(const JsonNode& node, bool tensorflow_js) {
    const std::u32string mark = to_code_points(node.string("replacement", "\u2581"));
    if (mark.size() != 1) node.fail("'replacement' must be one character");
    // Files older than prepend_scheme have a boolean in its place.
    const std::string_view scheme =
        node.string("prepend_scheme", node.boolean("add_prefix_space", true) ? "always" : "never");
    PrependScheme when = PrependScheme::never;
    if (scheme == "always") {
        when = tensorflow_js ? PrependScheme::unconditionally : PrependScheme::always;
    } else if (scheme == "first") {
        when = PrependScheme::first;
    } else if (scheme != "never") {
        node.fail("'prepend_scheme' must be always, first or never, not '" + std::string(scheme) +
                  "'");
    }
    return make_metaspace_pre_tokenizer(mark.front(), when, node.boolean("split", true));
}

void read_pre_tokenizer(const JsonNode& node, bool tensorflow_js,
                        std::vector<PreTokenizerPtr>& out) {
    const std::string_view type = node.at("type").string();
    if (type == "Sequence") {
        const JsonNode steps = node.at("pretokenizers");
        for (std::size_t index = 0; index < steps.array().size(); ++index) {
            read_pre_tokenizer(steps.element(index), tensorflow_js, out);
        }
    } else if (type == "BertPreTokenizer") {
        out.push_back(make_bert_pre_tokenizer());
    } else if (type == "Metaspace") {
        out.push_back(read_metaspace(node, tensorflow_js));
    } else if (type == "Whitespace") {
        out.push_back(make_whitespace_pre_tokenizer());
    } else if (type == "WhitespaceSplit") {
        out.push_back(make_whitespace_split_pre_tokenizer());
    } else if (type == "Digits") {
        out.push_back(make_digits_pre_tokenizer(node.boolean("individual_digits", false)));
    } else if (type == "Punctuation" && node.string("behavior", "Isolated") == "Isolated") {
        out.push_back(make_punctuation_pre_tokenizer());
    } else {
        node.fail("pre-tokeniser type '" + std::string(type) +
                  "' is not supported (supported: BertPreTokenizer, Digits, Metaspace, Punctuation "
                  "with behavior "
                  "Isolated, Sequence, Whitespace, WhitespaceSplit)");
    }
}

void read_template(const JsonNode& node, TokenizerParts& parts) {
    const JsonNode single = node.at("single");
    const JsonNode special = node.at("special_tokens");
    bool after_text = false;
    for (std::size_t index = 0; index < single.array().size(); ++index) {
        const JsonNode item = single.element(index);
        if (item.find("Sequence")) {
            if (after_text) item.fail("the text occurs twice in the template");
            after_text = true;
            continue;
        }
        const JsonNode ids = special.at(item.at("SpecialToken").at("id").string()).at("ids");
        std::vector<std::int32_t>& side = after_text ? parts.suffix_ids : parts.prefix_ids;
        for (std::size_t id = 0; id < ids.array().size(); ++id)
            side.push_back(ids.element(id).token_id());
    }
    if (!after_text) single.fail("the text does not occur in the template");
}

void read_post_processor(const JsonNode& node, TokenizerParts& parts) {
    const std::string_view type = node.at("type").string();
    if (type == "Sequence") {
        const JsonNode steps = node.at("processors");
        for (std::size_t index = 0; index < steps.array().size(); ++index) {
            read_post_processor(steps.element(index), parts);
        }
    } else if (type == "TemplateProcessing") {
        read_template(node, parts);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
        parts.prefix_ids.push_back(node.at("cls").element(1).token_id());
        parts.suffix_ids.push_back(node.at("sep").element(1).token_id());
    } else {
        node.fail("post-processor type '" + std::string(type) +
                  "' is not supported (supported: BertProcessing, RobertaProcessing, Sequence, "
                  "TemplateProcessing)");
    }
}

void set_token(std::int32_t id, std::string_view content, const JsonNode& node,
               std::vector<std::string>& tokens) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= tokens.size()) tokens.resize(index + 1);
    if (!tokens[index].empty() && tokens[index] != content) {
        node.fail("id " + std::to_string(id) + " is both '" + tokens[index] + "' and '" +
                  std::string(content) + "'");
    }
    tokens[index] = content;
}

/// Reads a vocabulary that is an object of token and id.
std::int32_t read_vocabulary(const JsonNode& model, std::vector<std::string>& tokens) {
    const JsonNode vocabulary = model.at("vocab");
    const std::string_view unknown = model.at("unk_token").string();
    std::int32_t unknown_id = -1;
    for (const auto& member : vocabulary.object()) {
        const std::string_view content = member.key();
        const std::int32_t id = vocabulary.at(content).token_id();
        set_token(id, content, vocabulary, tokens);
        if (content == unknown) unknown_id = id;
    }
    if (unknown_id < 0)
        model.fail("'unk_token' " + std::string(unknown) + " is not in the vocabulary");
    return unknown_id;
}

TokenModelPtr read_unigram(const JsonNode& model, bool tensorflow_js,
                           std::vector<std::string>& tokens) {
    UnigramOptions options;
    const auto unknown = model.find("unk_id");
    if (!unknown)
        model.fail(
            "'unk_id' is missing: a text with a character that is not known could not be "
            "tokenised");
    options.unknown_id = unknown->token_id();
    options.byte_fallback = model.boolean("byte_fallback", false);
    options.tensorflow_js = tensorflow_js;
    options.reserved = tensorflow_js ? kTensorflowJsReserved : 0;
    const JsonNode vocabulary = model.at("vocab");
    for (std::size_t id = 0; id < vocabulary.array().size(); ++id) {
        const JsonNode entry = vocabulary.element(id);
        const std::string piece(entry.element(0).string());
        const double score = entry.element(1).number();
        if (!std::isfinite(score)) entry.fail("the score must be finite");
        options.pieces.emplace_back(piece, score);
        tokens.push_back(piece);
    }
    return located(model, [&] { return make_unigram(options); });
}

TokenModelPtr read_word_piece(const JsonNode& model, std::vector<std::string>& tokens) {
    WordPieceOptions options;
    options.unknown_id = read_vocabulary(model, tokens);
    options.tokens = tokens;
    options.continuing_prefix = model.string("continuing_subword_prefix", "##");
    if (const auto most = model.find("max_input_chars_per_word")) {
        options.max_word_length = static_cast<std::size_t>(most->token_id());
    }
    return make_word_piece(options);
}

TokenModelPtr read_model(const JsonNode& model, bool tensorflow_js,
                         std::vector<std::string>& tokens) {
    const std::string_view type = model.at("type").string();
    if (type == "Unigram") return read_unigram(model, tensorflow_js, tokens);
    if (type == "WordPiece") return read_word_piece(model, tokens);
    if (type == "WordLevel") {
        const std::int32_t unknown_id = read_vocabulary(model, tokens);
        return make_word_level(tokens, unknown_id);
    }
    model.fail("model type '" + std::string(type) +
               "' is not supported (supported: Unigram, WordLevel, WordPiece)");
}

void read_added_tokens(const JsonNode& list, std::size_t reserved, TokenizerParts& parts) {
    for (std::size_t index = 0; index < list.array().size(); ++index) {
        const JsonNode node = list.element(index);
        const std::string_view content = node.at("content").string();
        AddedToken token;
        token.id = node.at("id").token_id();
        token.content = to_code_points(content);
        token.single_word = node.boolean("single_word", false);
        token.left_strip = node.boolean("lstrip", false);
        token.right_strip = node.boolean("rstrip", false);
        token.normalized = node.boolean("normalized", !node.boolean("special", false));
        set_token(token.id, content, node, parts.tokens);
        if (static_cast<std::size_t>(token.id) >= reserved)
            parts.added_tokens.push_back(std::move(token));
    }
}

void check_template(const JsonNode& node, const TokenizerParts& parts) {
    for (const auto* side : {&parts.prefix_ids, &parts.suffix_ids}) {
        for (const std::int32_t id : *side) {
            if (static_cast<std::size_t>(id) >= parts.tokens.size()) {
                node.fail("special token id " + std::to_string(id) + " is not in the vocabulary");
            }
        }
    }
}

}  // namespace

TokenizerParts read_tokenizer_json(const std::filesystem::path& file, bool tensorflow_js) {
    const JsonFile json(file);
    const JsonNode root = json.root();
    TokenizerParts parts;
    parts.model = read_model(root.at("model"), tensorflow_js, parts.tokens);
    if (const auto node = root.find("normalizer")) read_normalizer(*node, parts.normalizers);
    if (const auto node = root.find("pre_tokenizer"))
        read_pre_tokenizer(*node, tensorflow_js, parts.pre_tokenizers);
    const std::size_t reserved = tensorflow_js ? kTensorflowJsReserved : 0;
    if (const auto node = root.find("added_tokens")) read_added_tokens(*node, reserved, parts);
    if (const auto node = root.find("post_processor")) {
        read_post_processor(*node, parts);
        check_template(*node, parts);
    }
    return parts;
}

}  // namespace penstock::text
