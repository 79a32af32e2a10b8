// Tokenizers of published models: ids against those models' own runtimes, and byte ranges.
#include <gtest/gtest.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "tests/unit/text/shared_models.h"

namespace penstock::text {
namespace {

constexpr std::string_view kUseLite = "models/use-lite-en";
constexpr std::string_view kMiniLm = "models/minilm-l6-tokenizer";
constexpr std::string_view kGlove = "models/glove-6b-100d-sif-40k";

boost::json::value read_json(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream content;
    content << file.rdbuf();
    return boost::json::parse(content.str());
}

std::vector<std::int32_t> to_ids(const boost::json::value& list) {
    return boost::json::value_to<std::vector<std::int32_t>>(list);
}

std::shared_ptr<const Tokenizer> load(std::string_view model) {
    return load_tokenizer(shared_folder() / model);
}

std::vector<std::int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text,
                                 bool special = false) {
    Tokens tokens;
    tokenizer.encode(text, special, tokens);
    return tokens.ids;
}

/// Every text of a file of texts and ids that another runtime made.
void expect_ids(const Tokenizer& tokenizer, const boost::json::value& items, std::string_view key,
                bool special) {
    ASSERT_FALSE(items.as_array().empty());
    for (const boost::json::value& item : items.as_array()) {
        const std::string text(item.at("text").as_string());
        EXPECT_EQ(ids_of(tokenizer, text, special), to_ids(item.at(key))) << text;
    }
}

TEST(UseLite, GivesTheReferenceIds) {
    PENSTOCK_REQUIRE_SHARED(kUseLite);
    const boost::json::value reference =
        read_json(shared_folder() / kUseLite / "reference_embeddings.json");
    ASSERT_EQ(reference.at("items").as_array().size(), 20U);
    expect_ids(*load(kUseLite), reference.at("items"), "input_ids", true);
}

// Made by the tokenizer of @tensorflow-models/universal-sentence-encoder 1.3.3 on random texts and
// log lines with ties.
TEST(UseLite, GivesTheIdsOfItsOriginalRuntimeOnOddTexts) {
    PENSTOCK_REQUIRE_SHARED(kUseLite);
    expect_ids(*load(kUseLite),
               read_json(PENSTOCK_SOURCE_DIR "/tests/unit/text/data/use_lite_ids.json"), "ids",
               true);
}

TEST(UseLite, NeverFindsReservedPieces) {
    PENSTOCK_REQUIRE_SHARED(kUseLite);
    const auto tokenizer = load(kUseLite);
    for (const std::string text : {"<s>", "a </s> b", "extra_token_id_1", "\uFFFD\uFFFD x"}) {
        for (const std::int32_t id : ids_of(*tokenizer, text))
            EXPECT_TRUE(id == 0 || id > 5) << text << ' ' << id;
    }
    EXPECT_EQ(ids_of(*tokenizer, "\uFFFD\uFFFD").size(), 2U)
        << "the blank before the text, and one unknown run";
}

TEST(UseLite, HasNoSpecialTokens) {
    PENSTOCK_REQUIRE_SHARED(kUseLite);
    const auto tokenizer = load(kUseLite);
    EXPECT_EQ(tokenizer->type(), "unigram");
    EXPECT_EQ(tokenizer->vocabulary_size(), 8000U);
    EXPECT_EQ(tokenizer->special_token_count(), 0U);
    EXPECT_EQ(tokenizer->token(6), ".");
    EXPECT_EQ(tokenizer->token(-1), "");
    EXPECT_EQ(tokenizer->token(8000), "");
    EXPECT_EQ(tokenizer->id("."), 6);
    EXPECT_EQ(tokenizer->id("no such piece"), std::nullopt);
}

TEST(Glove, GivesTheReferenceIds) {
    PENSTOCK_REQUIRE_SHARED(kGlove);
    const auto tokenizer = load(kGlove);
    EXPECT_EQ(tokenizer->type(), "wordlevel");
    const boost::json::value reference =
        read_json(shared_folder() / kGlove / "reference_embeddings.json");
    for (const boost::json::value& item : reference.at("items").as_array()) {
        std::vector<std::int32_t> ids = ids_of(*tokenizer, item.at("text").as_string());
        std::erase(ids, tokenizer->id("[UNK]").value());
        EXPECT_EQ(ids, to_ids(item.at("known_ids"))) << item.at("text");
    }
}

/// WordPiece written another way: whole-string Unicode operations, words as strings, and substrings
/// looked up from the longest down, as the paper's pseudo-code has it.
class SimpleWordPiece {
  public:
    explicit SimpleWordPiece(const std::filesystem::path& vocabulary) {
        std::ifstream file(vocabulary);
        std::int32_t id = 0;
        for (std::string line; std::getline(file, line);)
            ids_[line] = id++;
    }

    std::vector<std::int32_t> encode(const std::string& text) const {
        std::vector<std::int32_t> out = {ids_.at("[CLS]")};
        for (const std::u32string& word : words(text))
            append_word(word, out);
        out.push_back(ids_.at("[SEP]"));
        return out;
    }

  private:
    static std::u32string normalized(const std::string& text) {
        UErrorCode status = U_ZERO_ERROR;
        icu::UnicodeString kept;
        const icu::UnicodeString source = icu::UnicodeString::fromUTF8(text);
        for (std::int32_t at = 0; at < source.length(); at = source.moveIndex32(at, 1)) {
            const UChar32 code = source.char32At(at);
            const bool blank = u_isUWhiteSpace(code) != 0;
            const bool line = code == '\t' || code == '\n' || code == '\r';
            if (!line && (code == 0xFFFD || u_charType(code) == U_CONTROL_CHAR ||
                          u_charType(code) == U_FORMAT_CHAR || u_charType(code) == U_UNASSIGNED ||
                          u_charType(code) == U_PRIVATE_USE_CHAR)) {
                continue;
            }
            const bool chinese = (code >= 0x4E00 && code < 0xA000) ||
                                 (code >= 0x3400 && code < 0x4DC0) ||
                                 (code >= 0xF900 && code < 0xFB00);
            if (chinese) kept.append(UChar32{' '});
            kept.append(blank ? UChar32{' '} : code);
            if (chinese) kept.append(UChar32{' '});
        }
        const icu::UnicodeString parts =
            icu::Normalizer2::getNFDInstance(status)->normalize(kept, status);
        std::u32string out;
        for (std::int32_t at = 0; at < parts.length(); at = parts.moveIndex32(at, 1)) {
            const UChar32 code = parts.char32At(at);
            if (u_charType(code) != U_NON_SPACING_MARK)
                out.push_back(static_cast<char32_t>(u_tolower(code)));
        }
        return out;
    }

    static std::vector<std::u32string> words(const std::string& text) {
        std::vector<std::u32string> out(1);
        for (const char32_t code : normalized(text)) {
            const bool symbol = code < 0x80 && ispunct(static_cast<int>(code)) != 0;
            if (code == ' ' || u_isUWhiteSpace(static_cast<UChar32>(code))) {
                out.emplace_back();
            } else if (symbol || u_ispunct(static_cast<UChar32>(code))) {
                out.push_back({code});
                out.emplace_back();
            } else {
                out.back().push_back(code);
            }
        }
        std::erase_if(out, [](const std::u32string& word) { return word.empty(); });
        return out;
    }

    static std::string utf8(std::u32string_view text) {
        std::string out;
        icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                      static_cast<std::int32_t>(text.size()))
            .toUTF8String(out);
        return out;
    }

    void append_word(const std::u32string& word, std::vector<std::int32_t>& out) const {
        const std::vector<std::int32_t> before = out;
        std::size_t start = 0;
        while (start < word.size() && word.size() <= 100) {
            std::size_t end = word.size();
            for (; end > start; --end) {
                const std::string piece =
                    utf8(std::u32string_view(word).substr(start, end - start));
                const auto found = ids_.find(start == 0 ? piece : "##" + piece);
                if (found == ids_.end()) continue;
                out.push_back(found->second);
                break;
            }
            if (end == start) break;
            start = end;
        }
        if (start == word.size()) return;
        out = before;
        out.push_back(ids_.at("[UNK]"));
    }

    std::unordered_map<std::string, std::int32_t> ids_;
};

class MiniLmCorpus : public testing::TestWithParam<std::string_view> {};

TEST_P(MiniLmCorpus, GivesTheIdsOfASimpleWordPieceAndOfVocabTxt) {
    PENSTOCK_REQUIRE_SHARED(kMiniLm);
    const std::vector<std::string> texts = corpus_strings(GetParam());
    if (texts.empty()) GTEST_SKIP() << "no corpus " << GetParam();
    const auto tokenizer = load(kMiniLm);
    const SimpleWordPiece simple(shared_folder() / kMiniLm / "vocab.txt");
    const TestFolder folder;
    for (const char* name : {"vocab.txt", "tokenizer_config.json"}) {
        std::filesystem::copy(shared_folder() / kMiniLm / name, folder.path() / name);
    }
    const auto from_vocabulary = load_tokenizer(folder.path());
    Tokens tokens;
    for (std::size_t index = 0; index < texts.size();
         index += 7) {  // every seventh: thousands of texts still
        tokenizer->encode(texts[index], true, tokens);
        ASSERT_EQ(tokens.ids, simple.encode(texts[index])) << texts[index];
        ASSERT_EQ(tokens.ids, ids_of(*from_vocabulary, texts[index], true)) << texts[index];
    }
}

INSTANTIATE_TEST_SUITE_P(Corpora, MiniLmCorpus,
                         testing::Values("sts-pairs/pairs.ndjson", "cisi/docs.ndjson",
                                         "cranfield/docs.ndjson", "logs-loghub/openstack_2k.ndjson",
                                         "logs-elastic-examples/auth.ndjson"));

TEST(MiniLm, GivesTheIdsOfASimpleWordPieceOnRandomTexts) {
    PENSTOCK_REQUIRE_SHARED(kMiniLm);
    const auto tokenizer = load(kMiniLm);
    const SimpleWordPiece simple(shared_folder() / kMiniLm / "vocab.txt");
    std::mt19937 random(20240601);
    for (int round = 0; round < 5000; ++round) {
        const std::string text = random_text(random, 30);
        if (text.find("[MASK]") != std::string::npos)
            continue;  // the simple one knows no added tokens
        ASSERT_EQ(ids_of(*tokenizer, text, true), simple.encode(text)) << text;
    }
}

// Made by @huggingface/tokenizers 0.2.0 (npm).
TEST(MiniLm, GivesTheIdsOfHuggingFaceOnOddTexts) {
    PENSTOCK_REQUIRE_SHARED(kMiniLm);
    expect_ids(*load(kMiniLm),
               read_json(PENSTOCK_SOURCE_DIR "/tests/unit/text/data/minilm_ids.json"), "ids", true);
}

TEST(MiniLm, FindsSpecialTokensInTheText) {
    PENSTOCK_REQUIRE_SHARED(kMiniLm);
    const auto tokenizer = load(kMiniLm);
    Tokens tokens;
    tokenizer->encode("Paris is [MASK].[SEP]", true, tokens);
    EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{101, 3000, 2003, 103, 1012, 102, 102}));
    EXPECT_EQ(tokens.begin, (std::vector<std::uint32_t>{0, 0, 6, 9, 15, 16, 21}));
    EXPECT_EQ(tokens.end, (std::vector<std::uint32_t>{0, 5, 8, 15, 16, 21, 21}));
    EXPECT_EQ(tokenizer->special_token_count(), 2U);
    EXPECT_EQ(tokenizer->prefix_ids(), std::vector<std::int32_t>{101});
    EXPECT_EQ(tokenizer->suffix_ids(), std::vector<std::int32_t>{102});
    EXPECT_EQ(tokenizer->type(), "wordpiece");
}

class AnyModel : public testing::TestWithParam<std::string_view> {};

TEST_P(AnyModel, RangesAreInOrderAndWholeCodePoints) {
    PENSTOCK_REQUIRE_SHARED(GetParam());
    const auto tokenizer = load(GetParam());
    std::mt19937 random(7);
    Tokens tokens;
    for (int round = 0; round < 3000; ++round) {
        const std::string text = random_text(random, 40);
        tokenizer->encode(text, true, tokens);
        ASSERT_EQ(tokens.begin.size(), tokens.size());
        ASSERT_EQ(tokens.end.size(), tokens.size());
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        for (std::size_t index = 0; index < tokens.size(); ++index) {
            ASSERT_LE(tokens.begin[index], tokens.end[index]) << text;
            ASSERT_LE(begin, tokens.begin[index]) << text;
            ASSERT_LE(end, tokens.end[index]) << text;
            ASSERT_TRUE(is_code_point_boundary(text, tokens.begin[index])) << text;
            ASSERT_TRUE(is_code_point_boundary(text, tokens.end[index])) << text;
            begin = tokens.begin[index];
            end = tokens.end[index];
        }
    }
}

TEST_P(AnyModel, TakesAnyText) {
    PENSTOCK_REQUIRE_SHARED(GetParam());
    const auto tokenizer = load(GetParam());
    Tokens tokens;
    tokenizer->encode("", false, tokens);
    EXPECT_EQ(tokens.size(), 0U);
    tokenizer->encode("", true, tokens);
    EXPECT_EQ(tokens.size(), tokenizer->special_token_count());

    using namespace std::string_literals;
    EXPECT_EQ(ids_of(*tokenizer, "a\xFF\xC3 b\xED\xA0\x80"),
              ids_of(*tokenizer, "a\uFFFD\uFFFD b\uFFFD\uFFFD\uFFFD"));
    for (const std::string& text :
         {"a\0b"s, "\0"s, "\x01\x02\x7F"s, "\u200D"s, "\u0301\u0301"s, "\uFEFF"s}) {
        tokenizer->encode(text, true, tokens);
        EXPECT_LE(tokens.size(), tokenizer->special_token_count() + text.size() + 1);
    }
    // Long texts of one word, of marks that sorting by class takes long for, and of nothing known.
    std::string marks;
    for (int count = 0; count < 100000; ++count)
        marks += "\u0301\u0316";
    std::string han;
    for (int count = 0; count < 100000; ++count)
        han += "\U00020000";
    for (const std::string& text :
         {std::string(1 << 20, 'x'), "a" + marks, han, std::string(1 << 20, ' ')}) {
        tokenizer->encode(text, true, tokens);
        EXPECT_LE(tokens.size(), text.size() + tokenizer->special_token_count() + 1);
        if (tokens.size() > 0) {
            EXPECT_LE(tokens.end.back(), text.size());
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, AnyModel, testing::Values(kUseLite, kMiniLm, kGlove));

TEST(UseLite, RangesAreThePiecesInTheText) {
    PENSTOCK_REQUIRE_SHARED(kUseLite);
    const auto tokenizer = load(kUseLite);
    Tokens tokens;
    tokenizer->encode("A man\u2126 eats", false,
                      tokens);  // OHM SIGN becomes a Greek letter, which is unknown
    std::vector<std::string> parts;
    for (std::size_t index = 0; index < tokens.size(); ++index) {
        parts.push_back(std::string("A man\u2126 eats")
                            .substr(tokens.begin[index], tokens.end[index] - tokens.begin[index]));
    }
    EXPECT_EQ(parts, (std::vector<std::string>{"A", " man", "\u2126", " eat", "s"}));
}

TEST(MiniLm, RangesCoverExpandedAndAccentedCharacters) {
    PENSTOCK_REQUIRE_SHARED(kMiniLm);
    const auto tokenizer = load(kMiniLm);
    const std::string text = "Cafe\u0301 \u00C9t\u00E9\u4E2D!";
    Tokens tokens;
    tokenizer->encode(text, false, tokens);
    std::vector<std::string> parts;
    for (std::size_t index = 0; index < tokens.size(); ++index) {
        parts.push_back(text.substr(tokens.begin[index], tokens.end[index] - tokens.begin[index]));
    }
    EXPECT_EQ(parts, (std::vector<std::string>{"Cafe\u0301", "\u00C9t", "\u00E9", "\u4E2D", "!"}));
}

}  // namespace
}  // namespace penstock::text
