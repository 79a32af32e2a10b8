// What tokenizer.json can say, on small vocabularies, and what is said about broken files.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "engine/runtime/error.h"
#include "tests/unit/text/shared_models.h"

namespace penstock::text {
namespace {

constexpr std::string_view kWords =
    R"("model":{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"a":1,"b":2,"ab":3,"A":4,".":5,"_a":6,"_b":7,"1":8,"23":9}})";
constexpr std::string_view kPieces =
    R"("model":{"type":"Unigram","unk_id":0,"vocab":[["?",0.0],["_",-2.0],["a",-2.0],["b",-2.5],["_a",-3.0],["ab",-3.0],["_ab",-9.0]]})";

std::shared_ptr<const Tokenizer> load_json(const std::string& content) {
    const TestFolder folder;
    folder.write("tokenizer.json", content);
    return load_tokenizer(folder.path());
}

/// The tokens of `text` as their texts, joined by '|'.
std::string pieces(const Tokenizer& tokenizer, std::string_view text, bool special = false) {
    Tokens tokens;
    tokenizer.encode(text, special, tokens);
    std::string out;
    for (const std::int32_t id : tokens.ids)
        out += (out.empty() ? "" : "|") + std::string(tokenizer.token(id));
    return out;
}

struct Case {
    std::string_view settings;
    std::string_view model;
    std::string_view text;
    std::string_view expected;
};

class TokenizerJson : public testing::TestWithParam<Case> {};

TEST_P(TokenizerJson, GivesThePieces) {
    const Case& test = GetParam();
    const std::string comma = test.settings.empty() ? "" : ",";
    const auto tokenizer =
        load_json("{" + std::string(test.settings) + comma + std::string(test.model) + "}");
    EXPECT_EQ(pieces(*tokenizer, test.text, true), test.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Normalizers, TokenizerJson,
    testing::Values(
        Case{"", kWords, "ab", "ab"}, Case{"", kWords, "ba", "?"},
        Case{R"("normalizer":{"type":"Lowercase"})", kWords, "AB", "ab"},
        Case{R"("normalizer":{"type":"NFKC"})", kWords, "\uFF41\uFF42", "ab"},
        Case{R"("normalizer":{"type":"NFKD"})", kWords, "\u24D0", "a"},
        Case{R"("normalizer":{"type":"NFC"})", kWords, "\uFF41", "?"},
        Case{
            R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]})",
            kWords, "\u00E1b", "ab"},
        Case{R"("normalizer":{"type":"Strip","strip_left":true,"strip_right":false})", kWords,
             "\n a", "a"},
        Case{R"("normalizer":{"type":"Strip","strip_left":false,"strip_right":true})", kWords,
             "a \u3000", "a"},
        Case{R"("normalizer":{"type":"Replace","pattern":{"String":"xx"},"content":"a"})", kWords,
             "xxb", "ab"},
        Case{R"("normalizer":{"type":"Replace","pattern":{"Regex":"[xy]+"},"content":"a"})", kWords,
             "xyxb", "ab"},
        Case{R"("normalizer":{"type":"Replace","pattern":{"Regex":"x*"},"content":""})", kWords,
             "xaxx", "a"},
        Case{R"("normalizer":{"type":"Prepend","prepend":"_"})", kWords, "a", "_a"},
        Case{R"("normalizer":{"type":"Prepend","prepend":"_"})", kWords, "", ""},
        Case{R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"Strip"}]})",
             kWords, "\u200Ba\x01\n", "a"},
        Case{R"("normalizer":{"type":"BertNormalizer","lowercase":false})", kWords, "A\u0301", "?"},
        Case{R"("normalizer":{"type":"BertNormalizer","lowercase":false,"strip_accents":true})",
             kWords, "A\u0301", "A"},
        Case{R"("normalizer":{"type":"BertNormalizer","clean_text":false})", kWords, "a\x01", "?"},
        Case{R"("normalizer":{"type":"BertNormalizer","clean_text":true})", kWords, "a\x01", "a"}));

INSTANTIATE_TEST_SUITE_P(
    PreTokenizers, TokenizerJson,
    testing::Values(
        Case{R"("pre_tokenizer":{"type":"WhitespaceSplit"})", kWords, " a\u3000\tb.", "a|?"},
        Case{R"("pre_tokenizer":{"type":"Whitespace"})", kWords, "a b. ..", "a|b|.|?"},
        Case{R"("pre_tokenizer":{"type":"BertPreTokenizer"})", kWords, "a.. b", "a|.|.|b"},
        Case{R"("pre_tokenizer":{"type":"Punctuation","behavior":"Isolated"})", kWords, "a.b",
             "a|.|b"},
        Case{R"("pre_tokenizer":{"type":"Digits","individual_digits":false})", kWords, "a23b",
             "a|23|b"},
        Case{R"("pre_tokenizer":{"type":"Digits","individual_digits":true})", kWords, "a11",
             "a|1|1"},
        Case{
            R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits"}]})",
            kWords, "a23 b", "a|23|b"},
        Case{
            R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"always","split":true})",
            kWords, "a b", "_a|_b"},
        Case{R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"never"})",
             kWords, "a b", "a|_b"},
        Case{R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","add_prefix_space":false})",
             kWords, "a b", "a|_b"},
        Case{R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"always"})",
             kWords, " a", "_a"},
        Case{
            R"("added_tokens":[{"id":1,"content":"a","special":true}],"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"})",
            kWords, "bab", "_b|a|b"},
        Case{
            R"("added_tokens":[{"id":1,"content":"a","special":true}],"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"always"})",
            kWords, "bab", "_b|a|_b"}));

constexpr std::string_view kMeta =
    R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"always","split":false})";

INSTANTIATE_TEST_SUITE_P(
    Unigram, TokenizerJson,
    testing::Values(
        Case{"", kPieces, "ab", "ab"},
        Case{kMeta, kPieces, "ab", "_|ab"},  // -5 beats _a+b (-5.5) and _ab (-9)
        Case{kMeta, kPieces, "a", "_a"},     // -3 beats _+a (-4)
        Case{kMeta, kPieces, "xyz a", "_|?|_a"},
        Case{"", R"("model":{"type":"Unigram","unk_id":0,"vocab":[["?",0],["a",-1],["aa",-2]]})",
             "aaa", "a|aa"},  // a tie: the first found stays
        Case{
            "",
            R"("model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["?",0],["a",-1]]})",
            "a\u00E9", "a|?"}));

constexpr std::string_view kAdded =
    R"("added_tokens":[{"id":2,"content":"b","lstrip":true,"rstrip":true,"normalized":false},{"id":10,"content":"<x>","single_word":true,"normalized":false},{"id":11,"content":"A1","normalized":true}],"normalizer":{"type":"Lowercase"})";

INSTANTIATE_TEST_SUITE_P(
    AddedTokens, TokenizerJson,
    testing::Values(Case{kAdded, kWords, "a  b  a", "a|b|a"}, Case{kAdded, kWords, "<x>", "<x>"},
                    Case{kAdded, kWords, "a<x>", "?"}, Case{kAdded, kWords, ".<x>", ".|<x>"},
                    Case{kAdded, kWords, "a1", "A1"}, Case{kAdded, kWords, "B", "b"}));

constexpr std::string_view kTemplate =
    R"("post_processor":{"type":"Sequence","processors":[{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"S","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"E","type_id":0}}],"special_tokens":{"S":{"ids":[4]},"E":{"ids":[5,8]}}}]})";

INSTANTIATE_TEST_SUITE_P(
    PostProcessors, TokenizerJson,
    testing::Values(
        Case{kTemplate, kWords, "a", "A|a|.|1"}, Case{kTemplate, kWords, "", "A|.|1"},
        Case{R"("post_processor":{"type":"BertProcessing","sep":[".",5],"cls":["A",4]})", kWords,
             "b", "A|b|."},
        Case{R"("post_processor":{"type":"RobertaProcessing","sep":[".",5],"cls":["A",4]})", kWords,
             "b", "A|b|."}));

TEST(ByteFallback, SpellsUnknownCharactersInBytes) {
    std::string vocabulary = R"(["?",0],["a",-1])";
    for (int byte = 0; byte < 256; ++byte) {
        std::array<char, 16> piece{};
        std::snprintf(piece.data(), piece.size(), "<0x%02X>", static_cast<unsigned>(byte));
        vocabulary += ",[\"" + std::string(piece.data()) + "\",-5]";
    }
    const auto tokenizer =
        load_json(R"({"model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[)" +
                  vocabulary + "]}}");
    EXPECT_EQ(pieces(*tokenizer, "a\u00E9\na"), "a|<0xC3>|<0xA9>|<0x0A>|a");
}

/// A charsmap as SentencePiece compiles it; every node gets a block of 256 units of its own.
class Charsmap {
  public:
    void add(std::string_view from, std::string_view to) {
        std::size_t node = 0;
        for (const char byte : from)
            node = child(node, static_cast<std::uint8_t>(byte));
        units_[node] |= kHasLeaf;
        const std::size_t leaf = child(node, 0);
        units_[leaf] = 0x80000000U | static_cast<std::uint32_t>(replacements_.size());
        replacements_ += to;
        replacements_ += '\0';
    }

    std::string base64() const {
        std::string bytes;
        append(static_cast<std::uint32_t>(units_.size() * 4), bytes);
        for (const std::uint32_t unit : units_)
            append(unit, bytes);
        bytes += replacements_;
        static constexpr std::string_view kAlphabet =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string out;
        for (std::size_t at = 0; at < bytes.size(); at += 3) {
            std::uint32_t bits = 0;
            for (std::size_t index = 0; index < 3; ++index) {
                bits =
                    bits << 8 |
                    (at + index < bytes.size() ? static_cast<std::uint8_t>(bytes[at + index]) : 0U);
            }
            for (int shift = 18; shift >= 0; shift -= 6)
                out += kAlphabet[bits >> shift & 63];
        }
        for (std::size_t index = 0; index < (3 - bytes.size() % 3) % 3; ++index)
            out[out.size() - 1 - index] = '=';
        return out;
    }

  private:
    static constexpr std::uint32_t kHasLeaf = 1U << 8;

    static void append(std::uint32_t value, std::string& bytes) {
        for (int shift = 0; shift < 32; shift += 8)
            bytes += static_cast<char>(value >> shift & 0xFF);
    }

    std::size_t child(std::size_t node, std::uint8_t label) {
        std::size_t offset = units_[node] >> 10;
        if (offset == 0) {
            const std::size_t block = units_.size();
            units_.resize(block + 256,
                          0xFF);  // label 0xFF: no child here, since UTF-8 has no such byte
            offset = block ^ node;
            units_[node] |= static_cast<std::uint32_t>(offset << 10);
        }
        const std::size_t place = node ^ offset ^ label;
        if (label != 0 && units_[place] == 0xFF) units_[place] = label;
        return place;
    }

    std::vector<std::uint32_t> units_ = std::vector<std::uint32_t>(256, 0);
    std::string replacements_;
};

TEST(Precompiled, ReplacesGraphemeClustersThenCodePoints) {
    Charsmap charsmap;
    charsmap.add("\uFF41", "a");
    charsmap.add("\u2488", "1.");  // DIGIT ONE FULL STOP
    charsmap.add("x", "a");
    charsmap.add("e\u0301", "b");
    const auto tokenizer = load_json(
        R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":")" + charsmap.base64() +
        R"("},"pre_tokenizer":{"type":"BertPreTokenizer"},)" + std::string(kWords) + "}");
    EXPECT_EQ(pieces(*tokenizer, "\uFF41"), "a");
    EXPECT_EQ(pieces(*tokenizer, "xb \u2488"), "ab|1|.");
    EXPECT_EQ(pieces(*tokenizer, "xe\u0301"), "ab");
    EXPECT_EQ(pieces(*tokenizer, "x\u0301"), "a")
        << "the shortest rule that matches replaces the whole cluster";
    Tokens tokens;
    tokenizer->encode("x \u2488", false, tokens);
    EXPECT_EQ(tokens.begin, (std::vector<std::uint32_t>{0, 2, 2}));
    EXPECT_EQ(tokens.end, (std::vector<std::uint32_t>{1, 5, 5}));
}

TEST(Ranges, PointIntoTheOriginalThroughEveryStep) {
    const auto tokenizer = load_json(
        R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Strip"},{"type":"NFKC"},{"type":"Lowercase"},{"type":"Replace","pattern":{"String":"zz"},"content":"a"}]},"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"always"},)" +
        std::string(kWords) + "}");
    Tokens tokens;
    tokenizer->encode("  \uFF21 ZZ ", false, tokens);  // 2 blanks, 3 bytes, 1 blank, 2 bytes
    EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{6, 6}));
    EXPECT_EQ(tokens.begin, (std::vector<std::uint32_t>{2, 5}));
    EXPECT_EQ(tokens.end, (std::vector<std::uint32_t>{5, 8}));
}

struct BrokenCase {
    std::string_view content;
    std::string_view message;
};

class BrokenTokenizerJson : public testing::TestWithParam<BrokenCase> {};

TEST_P(BrokenTokenizerJson, IsRefusedWithItsNameAndReason) {
    const TestFolder folder;
    folder.write("tokenizer.json", GetParam().content);
    try {
        load_tokenizer(folder.path());
        FAIL() << "loaded";
    } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find((folder.path() / "tokenizer.json").string()), std::string::npos)
            << message;
        EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Files, BrokenTokenizerJson,
    testing::Values(
        BrokenCase{"", "not JSON, or cut off"},
        BrokenCase{R"({"model":{"type":"Uni)", "not JSON, or cut off"},
        BrokenCase{"{} x", "not JSON, or cut off"}, BrokenCase{"[]", "must be an object"},
        BrokenCase{"{}", "'model' is missing"},
        BrokenCase{R"({"model":{}})", "model: 'type' is missing"},
        BrokenCase{R"({"model":{"type":"BPE"}})", "model: model type 'BPE' is not supported"},
        BrokenCase{R"({"model":{"type":"Unigram","vocab":[["a",0]]}})", "'unk_id' is missing"},
        BrokenCase{R"({"model":{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}})",
                   "'unk_id' 1 is not in its vocabulary"},
        BrokenCase{R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}})",
                   "model.vocab[0]: must have at least 2"},
        BrokenCase{R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a","b"]]}})",
                   "model.vocab[0][1]: must be a number"},
        BrokenCase{R"({"model":{"type":"WordPiece","unk_token":"?","vocab":{"a":0}}})",
                   "'unk_token' ? is not in the"},
        BrokenCase{R"({"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":-1}}})",
                   "model.vocab.a: must be a token id"},
        BrokenCase{R"({"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":0,"b":0}}})",
                   "id 0 is both 'a' and 'b'"},
        BrokenCase{
            R"({"normalizer":{"type":"ByteLevel"},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "normalizer: normaliser type 'ByteLevel' is not supported"},
        BrokenCase{
            R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"("},"content":""}]},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "normalizer.normalizers[0]: the regular expression '(' cannot be compiled"},
        BrokenCase{
            R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAEA"},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "'precompiled_charsmap' is truncated"},
        BrokenCase{
            R"({"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "pre_tokenizer: pre-tokeniser type 'ByteLevel' is not supported"},
        BrokenCase{
            R"({"pre_tokenizer":{"type":"Metaspace","replacement":"xx"},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "'replacement' must be one character"},
        BrokenCase{
            R"({"post_processor":{"type":"ByteLevel"},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "post-processor type 'ByteLevel' is not supported"},
        BrokenCase{
            R"({"post_processor":{"type":"BertProcessing","sep":["S",7],"cls":["C",0]},"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "special token id 7 is not in the vocabulary"},
        BrokenCase{
            R"({"added_tokens":[{"id":0,"content":"b"}],"model":{"type":"WordLevel","unk_token":"a","vocab":{"a":0}}})",
            "added_tokens[0]: id 0 is both 'a' and 'b'"}));

std::string load_error(const std::filesystem::path& folder) {
    try {
        load_tokenizer(folder);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(VocabTxt, IsReadWithItsSettings) {
    const TestFolder folder;
    folder.write("vocab.txt",
                 "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nA\r\n##b\r\n\u4E2D\r\na\r\n");
    EXPECT_EQ(pieces(*load_tokenizer(folder.path()), "Ab \u4E2Da [MASK]", true),
              "[CLS]|a|##b|\u4E2D|a|[MASK]|[SEP]");
    folder.write(
        "tokenizer_config.json",
        R"({"do_lower_case":false,"tokenize_chinese_chars":false,"mask_token":{"content":"A"}})");
    EXPECT_EQ(pieces(*load_tokenizer(folder.path()), "Ab \u4E2Da", true),
              "[CLS]|A|[UNK]|[UNK]|[SEP]");
}

TEST(VocabTxt, WithoutSpecialTokensIsRefused) {
    const TestFolder folder;
    folder.write("vocab.txt", "[UNK]\na\n");
    const std::string message = load_error(folder.path());
    EXPECT_NE(message.find("vocab.txt: has no special token '[CLS]' (2 tokens read)"),
              std::string::npos)
        << message;
}

TEST(LoadTokenizer, NamesTheFolderThatHasNone) {
    const TestFolder folder;
    const std::string message = load_error(folder.path());
    EXPECT_NE(message.find(folder.path().string()), std::string::npos);
    EXPECT_NE(message.find("neither tokenizer.json nor vocab.txt"), std::string::npos) << message;
}

}  // namespace
}  // namespace penstock::text
