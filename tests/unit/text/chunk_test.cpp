#include "engine/text/chunk.h"

#include <gtest/gtest.h>
#include <unicode/brkiter.h>

#include <algorithm>
#include <thread>

#include "engine/runtime/error.h"
#include "tests/unit/text/shared_models.h"

namespace penstock::text {
namespace {

std::vector<Chunk> cut(const ChunkSettings& settings, std::string_view text) {
    std::vector<Chunk> chunks;
    const std::optional<std::string> problem = Chunker::make(settings)->chunk(text, chunks);
    EXPECT_EQ(problem, std::nullopt) << text;
    return chunks;
}

std::vector<std::string> texts_of(const ChunkSettings& settings, std::string_view text) {
    std::vector<std::string> texts;
    for (const Chunk& chunk : cut(settings, text))
        texts.emplace_back(text.substr(chunk.begin, chunk.end - chunk.begin));
    return texts;
}

using Texts = std::vector<std::string>;

ChunkSettings with(ChunkStrategy strategy) {
    ChunkSettings settings;
    settings.strategy = strategy;
    return settings;
}

std::string numbers(int from, int to) {
    std::string text;
    for (int number = from; number <= to; ++number)
        text += (text.empty() ? "" : " ") + std::to_string(number);
    return text;
}

std::size_t count_words(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<icu::BreakIterator> words(
        icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
    const icu::UnicodeString source = icu::UnicodeString::fromUTF8(std::string(text));
    words->setText(source);
    std::size_t count = 0;
    while (words->next() != icu::BreakIterator::DONE)
        count += words->getRuleStatus() != UBRK_WORD_NONE ? 1 : 0;
    return count;
}

TEST(Chunker, KnowsItsStrategiesByName) {
    for (const char* name : {"none", "word", "sentence", "recursive", "fixed_token_length",
                             "delimiter", "fixed_char_length"}) {
        ASSERT_TRUE(chunk_strategy(name)) << name;
        EXPECT_EQ(chunk_strategy_name(*chunk_strategy(name)), name);
    }
    EXPECT_EQ(chunk_strategy("paragraph"), std::nullopt);
}

TEST(NoneStrategy, LeavesTheTextWhole) {
    EXPECT_EQ(texts_of(with(ChunkStrategy::none), "One. Two."), (Texts{"One. Two."}));
    EXPECT_EQ(texts_of(with(ChunkStrategy::none), ""), Texts{});
}

TEST(WordStrategy, CutsBehindTheBlanksAfterSoManyWords) {
    ChunkSettings settings = with(ChunkStrategy::word);
    settings.max_chunk_size = 10;
    settings.overlap = 0;
    EXPECT_EQ(texts_of(settings, "1 2 3 4 5 6 7 8 9 ten,  (11) 12"),
              (Texts{"1 2 3 4 5 6 7 8 9 ten,  ", "(11) 12"}));
    settings.overlap = 5;
    EXPECT_EQ(texts_of(settings, numbers(1, 20)),
              (Texts{numbers(1, 10) + " ", numbers(6, 15) + " ", numbers(11, 20)}));
    EXPECT_EQ(texts_of(settings, "... !!!"), (Texts{"... !!!"}));
}

TEST(SentenceStrategy, PacksSentencesAndRepeatsOne) {
    ChunkSettings settings = with(ChunkStrategy::sentence);
    settings.max_chunk_size = 20;
    const std::string a = numbers(1, 8) + " A. ";
    const std::string b = numbers(1, 7) + " B! ";
    const std::string c = numbers(1, 8) + " C? ";
    const std::string d = "End.";
    settings.sentence_overlap = 0;
    EXPECT_EQ(texts_of(settings, a + b + c + d), (Texts{a + b, c + d}));
    settings.sentence_overlap = 1;
    EXPECT_EQ(texts_of(settings, a + b + c + d), (Texts{a + b, b + c + d}));
}

TEST(SentenceStrategy, CutsLongSentencesBetweenWords) {
    ChunkSettings settings = with(ChunkStrategy::sentence);
    settings.max_chunk_size = 20;
    EXPECT_EQ(
        texts_of(settings, numbers(1, 50) + ". Next one."),
        (Texts{numbers(1, 20) + " ", numbers(21, 40) + " ", numbers(41, 50) + ". Next one."}));
}

TEST(RecursiveStrategy, TriesSeparatorsInOrderAndMerges) {
    ChunkSettings settings = with(ChunkStrategy::recursive);
    settings.max_chunk_size = 10;
    const std::string p = numbers(1, 4);
    EXPECT_EQ(texts_of(settings, p + "\n\n" + p + "\n\n" + p), (Texts{p + "\n\n" + p, "\n\n" + p}));
    EXPECT_EQ(texts_of(settings, p + "\n" + p + "\n" + p + "\n\n" + p),
              (Texts{p + "\n" + p, "\n" + p, "\n\n" + p}));
    EXPECT_EQ(texts_of(settings, numbers(1, 12)), (Texts{numbers(1, 10) + " ", "11 12"}));
    settings.separator_group = SeparatorGroup::markdown;
    EXPECT_EQ(texts_of(settings,
                       "# A\n" + p + "\n## B\n" + p + "\n# C\n" + p + "\nD\n===\n" + numbers(1, 7)),
              (Texts{"# A\n" + p + "\n## B\n" + p, "\n# C\n" + p, "\nD\n===\n" + numbers(1, 7)}));
    settings.separators = {";+"};
    EXPECT_EQ(texts_of(settings, p + ";;" + p + ";" + p), (Texts{p + ";;" + p, ";" + p}));
}

TEST(FixedTokenLength, CountsWordsWithoutAModelAsOpenSearchDoes) {
    ChunkSettings settings = with(ChunkStrategy::fixed_token_length);
    settings.token_limit = 10;
    settings.overlap_rate = 0.2;
    EXPECT_EQ(
        texts_of(
            settings,
            "This is an example document to be chunked. The document contains a single paragraph, "
            "two sentences and 24 tokens by standard tokenizer in OpenSearch."),
        (Texts{"This is an example document to be chunked. The document ",
               "The document contains a single paragraph, two sentences and 24 ",
               "and 24 tokens by standard tokenizer in OpenSearch."}));
    settings.token_limit = 2;
    settings.overlap_rate = 0;
    EXPECT_EQ(texts_of(settings, "日本語 カタカナ です"), (Texts{"日本", "語 カタカナ ", "です"}));
    settings.word_tokenizer = WordTokenizer::whitespace;
    EXPECT_EQ(texts_of(settings, " a-b (c d) e"), (Texts{" a-b (c ", "d) e"}));
    settings.word_tokenizer = WordTokenizer::letter;
    EXPECT_EQ(texts_of(settings, "a-b (c 1 d)"), (Texts{"a-b (", "c 1 d)"}));
}

TEST(DelimiterStrategy, KeepsTheDelimiterAtTheEnd) {
    ChunkSettings settings = with(ChunkStrategy::delimiter);
    EXPECT_EQ(texts_of(settings, "a\n\nb\n\n\n\nc"), (Texts{"a\n\n", "b\n\n", "\n\n", "c"}));
    EXPECT_EQ(texts_of(settings, "a\n\n"), (Texts{"a\n\n"}));
    settings.delimiter = ".";
    EXPECT_EQ(texts_of(settings, "a.b"), (Texts{"a.", "b"}));
}

TEST(FixedCharLength, CountsCodePointsAndKeepsClustersWhole) {
    ChunkSettings settings = with(ChunkStrategy::fixed_char_length);
    settings.char_limit = 4;
    EXPECT_EQ(texts_of(settings, "aéi文b"), (Texts{"aéi文", "b"}));
    EXPECT_EQ(texts_of(settings, "abce\u0301fg"), (Texts{"abc", "e\u0301fg"}));
    EXPECT_EQ(texts_of(settings, "abc\r\nd"), (Texts{"abc", "\r\nd"}));
    EXPECT_EQ(texts_of(settings, "ab\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7"),
              (Texts{"ab\U0001F1E9\U0001F1EA", "\U0001F1EB\U0001F1F7"}));
    settings.overlap_rate = 0.5;
    EXPECT_EQ(texts_of(settings, "abcdefg"), (Texts{"abcd", "cdef", "efg"}));
    settings.char_limit = 1;
    EXPECT_EQ(texts_of(settings, "xe\u0301"), (Texts{"x", "e", "\u0301"}))
        << "a cluster longer than the limit is cut";
}

TEST(ChunkOffsets, CountBytesAndCodePoints) {
    ChunkSettings settings = with(ChunkStrategy::delimiter);
    settings.delimiter = "|";
    const std::vector<Chunk> chunks = cut(settings, "é|\U0001F44D文|x");
    ASSERT_EQ(chunks.size(), 3U);
    EXPECT_EQ(chunks[1].begin, 3U);
    EXPECT_EQ(chunks[1].end, 11U);
    EXPECT_EQ(chunks[1].begin_code_point, 2U);
    EXPECT_EQ(chunks[1].end_code_point, 5U);
    EXPECT_EQ(chunks[2].end_code_point, 6U);
}

TEST(MaxChunkLimit, FailsMergesOrDrops) {
    ChunkSettings settings = with(ChunkStrategy::delimiter);
    settings.delimiter = "|";
    settings.max_chunk_limit = 2;
    std::vector<Chunk> chunks(1);
    const std::optional<std::string> problem = Chunker::make(settings)->chunk("a|b|c|d", chunks);
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("makes 4 chunks, more than max_chunk_limit 2"), std::string::npos)
        << *problem;
    EXPECT_TRUE(chunks.empty());
    settings.on_limit = OnChunkLimit::merge;
    EXPECT_EQ(texts_of(settings, "a|b|c|d"), (Texts{"a|", "b|c|d"}));
    settings.on_limit = OnChunkLimit::drop;
    EXPECT_EQ(texts_of(settings, "a|b|c|d"), (Texts{"a|", "b|"}));
    EXPECT_EQ(texts_of(settings, "a|b"), (Texts{"a|", "b"}));
}

TEST(MaxChunkLimit, Is100ForOpenSearchsAlgorithmsAlone) {
    std::string text;
    for (int line = 0; line < 101; ++line)
        text += numbers(1, 20) + ".\n\n";
    std::vector<Chunk> chunks;
    EXPECT_TRUE(Chunker::make(with(ChunkStrategy::delimiter))->chunk(text, chunks));
    ChunkSettings settings = with(ChunkStrategy::sentence);
    settings.max_chunk_size = 20;
    settings.sentence_overlap = 0;
    EXPECT_EQ(cut(settings, text).size(), 101U);
    settings = with(ChunkStrategy::delimiter);
    settings.max_chunk_limit = -1;
    EXPECT_EQ(cut(settings, text).size(), 101U);
}

TEST(ChunkSettings, AllProblemsAreNamed) {
    const auto problems = [](auto change) {
        ChunkSettings settings;
        change(settings);
        std::string joined;
        for (const std::string& problem : check_chunk_settings(settings))
            joined += problem + "\n";
        return joined;
    };
    EXPECT_EQ(problems([](ChunkSettings&) {}), "");
    EXPECT_EQ(
        problems([](ChunkSettings& s) {
            s.max_chunk_size = 19, s.sentence_overlap = 2, s.max_chunk_limit = 0;
        }),
        "max_chunk_size: must be at least 20, not 19\nsentence_overlap: must be 0 or 1, not 2\n"
        "max_chunk_limit: must be at least 1, or -1 for no limit, not 0\n");
    EXPECT_EQ(problems([](ChunkSettings& s) {
                  s.strategy = ChunkStrategy::word, s.max_chunk_size = 150;
              }),
              "overlap: must be at most half of max_chunk_size (75), not 100\n");
    EXPECT_EQ(problems([](ChunkSettings& s) {
                  s.strategy = ChunkStrategy::fixed_token_length, s.overlap_rate = 0.6;
              }),
              "overlap_rate: must be from 0 to 0.5, not 0.600000\n");
    EXPECT_EQ(problems([](ChunkSettings& s) {
                  s.strategy = ChunkStrategy::fixed_char_length, s.char_limit = 0;
              }),
              "char_limit: must be at least 1, not 0\n");
    EXPECT_EQ(
        problems([](ChunkSettings& s) { s.strategy = ChunkStrategy::delimiter, s.delimiter = ""; }),
        "delimiter: must not be empty\n");
    EXPECT_EQ(problems([](ChunkSettings& s) {
                  s.strategy = ChunkStrategy::recursive, s.separators = {"a", "(", ""};
              }),
              "separators: '(' is not a regular expression (U_REGEX_MISMATCHED_PAREN)\n"
              "separators: '' is not a regular expression (it is empty)\n");
    EXPECT_EQ(problems([](ChunkSettings& s) { s.max_tokens = 5; }),
              "max_tokens: counts a model's tokens, but no tokenizer is given\n");
    ChunkSettings settings = with(ChunkStrategy::delimiter);
    settings.delimiter = "";
    EXPECT_THROW(Chunker::make(settings), Error);
}

/// One way to chunk, for the properties that all share.
struct Way {
    std::string name;
    ChunkSettings settings;
    bool overlaps = false;
};

std::vector<Way> all_ways() {
    std::vector<Way> ways;
    const auto add = [&ways](std::string name, ChunkStrategy strategy, auto change,
                             bool overlaps = false) {
        ChunkSettings settings = with(strategy);
        settings.max_chunk_limit = -1;
        change(settings);
        ways.push_back({std::move(name), std::move(settings), overlaps});
    };
    add("none", ChunkStrategy::none, [](ChunkSettings&) {});
    add("word", ChunkStrategy::word,
        [](ChunkSettings& s) { s.max_chunk_size = 10, s.overlap = 0; });
    add(
        "word overlap", ChunkStrategy::word,
        [](ChunkSettings& s) { s.max_chunk_size = 11, s.overlap = 5; }, true);
    add("sentence", ChunkStrategy::sentence,
        [](ChunkSettings& s) { s.max_chunk_size = 20, s.sentence_overlap = 0; });
    add(
        "sentence overlap", ChunkStrategy::sentence,
        [](ChunkSettings& s) { s.max_chunk_size = 20; }, true);
    add("plaintext", ChunkStrategy::recursive, [](ChunkSettings& s) { s.max_chunk_size = 10; });
    add("markdown", ChunkStrategy::recursive, [](ChunkSettings& s) {
        s.max_chunk_size = 10, s.separator_group = SeparatorGroup::markdown;
    });
    add("tokens", ChunkStrategy::fixed_token_length, [](ChunkSettings& s) { s.token_limit = 7; });
    add(
        "tokens overlap", ChunkStrategy::fixed_token_length,
        [](ChunkSettings& s) { s.token_limit = 7, s.overlap_rate = 0.5; }, true);
    add("delimiter", ChunkStrategy::delimiter, [](ChunkSettings&) {});
    add("characters", ChunkStrategy::fixed_char_length,
        [](ChunkSettings& s) { s.char_limit = 10; });
    add(
        "characters overlap", ChunkStrategy::fixed_char_length,
        [](ChunkSettings& s) { s.char_limit = 10, s.overlap_rate = 0.3; }, true);
    return ways;
}

std::size_t count_code_points(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
    }));
}

/// Order, cover, offsets.
void expect_sound(const Way& way, std::string_view text, const std::vector<Chunk>& chunks) {
    SCOPED_TRACE(way.name + ": " + std::string(text.substr(0, 300)));
    ASSERT_EQ(chunks.empty(), text.empty());
    std::size_t covered = 0;
    std::size_t last_begin = 0;
    for (const Chunk& chunk : chunks) {
        ASSERT_LT(chunk.begin, chunk.end);
        ASSERT_LE(chunk.begin, covered);
        ASSERT_GT(chunk.end, covered);
        if (covered > 0) {
            ASSERT_GT(chunk.begin, last_begin);
        }
        if (!way.overlaps) {
            ASSERT_EQ(chunk.begin, covered);
        }
        ASSERT_TRUE(is_code_point_boundary(text, chunk.begin) &&
                    is_code_point_boundary(text, chunk.end));
        ASSERT_EQ(chunk.end_code_point - chunk.begin_code_point,
                  count_code_points(text.substr(chunk.begin, chunk.end - chunk.begin)));
        last_begin = chunk.begin;
        covered = chunk.end;
    }
    ASSERT_EQ(covered, text.size());
    if (!chunks.empty()) {
        ASSERT_EQ(chunks.back().end_code_point, count_code_points(text));
    }
}

/// The limit that the strategy itself sets.
void expect_within_limit(const Way& way, std::string_view text, const std::vector<Chunk>& chunks) {
    const ChunkSettings& settings = way.settings;
    for (const Chunk& chunk : chunks) {
        const std::string_view part = text.substr(chunk.begin, chunk.end - chunk.begin);
        if (settings.strategy == ChunkStrategy::word ||
            settings.strategy == ChunkStrategy::sentence ||
            settings.strategy == ChunkStrategy::recursive) {
            ASSERT_LE(count_words(part), static_cast<std::size_t>(settings.max_chunk_size))
                << way.name << ": " << part;
        }
        if (settings.strategy == ChunkStrategy::fixed_char_length) {
            ASSERT_LE(chunk.end_code_point - chunk.begin_code_point,
                      static_cast<std::size_t>(settings.char_limit));
        }
    }
}

TEST(ChunkProperties, HoldOnRandomTexts) {
    std::mt19937 random(99);
    for (const Way& way : all_ways()) {
        const auto chunker = Chunker::make(way.settings);
        std::vector<Chunk> chunks;
        for (int round = 0; round < 1500; ++round) {
            const std::string text = random_text(random, 80);
            ASSERT_EQ(chunker->chunk(text, chunks), std::nullopt);
            ASSERT_NO_FATAL_FAILURE(expect_sound(way, text, chunks));
            // Thai has no blanks: where a dictionary finds its words depends on what surrounds
            // them.
            if (text.find("ไทย") == std::string::npos) {
                ASSERT_NO_FATAL_FAILURE(expect_within_limit(way, text, chunks));
            }
        }
    }
}

TEST(ChunkProperties, HoldOnLongSpeeches) {
    PENSTOCK_REQUIRE_SHARED("corpora/sotu/docs.ndjson");
    const std::vector<std::string> texts = corpus_strings("sotu/docs.ndjson");
    for (Way way : all_ways()) {
        way.settings.max_chunk_size *= 10;
        way.settings.overlap *= 10;
        const auto chunker = Chunker::make(way.settings);
        std::vector<Chunk> chunks;
        for (std::size_t index = 0; index < texts.size(); index += 16) {
            ASSERT_EQ(chunker->chunk(texts[index], chunks), std::nullopt);
            ASSERT_NO_FATAL_FAILURE(expect_sound(way, texts[index], chunks));
            ASSERT_NO_FATAL_FAILURE(expect_within_limit(way, texts[index], chunks));
        }
    }
}

TEST(WordOverlap, IsExactlySoManyWords) {
    std::mt19937 random(5);
    ChunkSettings settings = with(ChunkStrategy::word);
    settings.max_chunk_size = 12;
    settings.overlap = 4;
    const auto chunker = Chunker::make(settings);
    std::vector<Chunk> chunks;
    for (int round = 0; round < 300; ++round) {
        std::string text;
        for (int word = std::uniform_int_distribution<int>(0, 60)(random); word > 0; --word) {
            text += random() % 3 == 0 ? "(word), " : "word ";
        }
        ASSERT_EQ(chunker->chunk(text, chunks), std::nullopt);
        for (std::size_t index = 1; index < chunks.size(); ++index) {
            const std::size_t begin = chunks[index].begin;
            ASSERT_EQ(
                count_words(std::string_view(text).substr(begin, chunks[index - 1].end - begin)),
                4U)
                << text;
        }
    }
}

class ModelLimit : public testing::TestWithParam<std::string_view> {};

TEST_P(ModelLimit, IsNeverPassed) {
    PENSTOCK_REQUIRE_SHARED(GetParam());
    const std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer(shared_folder() / GetParam());
    std::mt19937 random(11);
    std::vector<std::string> texts;
    for (int round = 0; round < 400; ++round)
        texts.push_back(random_text(random, 120));
    if (std::filesystem::exists(shared_folder() / "corpora/sotu/docs.ndjson")) {
        texts.push_back(corpus_strings("sotu/docs.ndjson").back());
    }
    for (const char letter : {'x', ' ', '\n', '.'})
        texts.push_back(std::string(20000, letter));
    Tokens tokens;
    std::vector<Chunk> chunks;
    for (Way way : all_ways()) {
        if (way.settings.strategy == ChunkStrategy::none) continue;
        way.settings.tokenizer = tokenizer;
        way.settings.token_limit = 40;
        for (const std::int64_t limit :
             {23, 40}) {  // an expanded ligature of 18 letters and special tokens need 20
            way.settings.max_tokens = limit;
            const auto chunker = Chunker::make(way.settings);
            for (const std::string& text : texts) {
                ASSERT_EQ(chunker->chunk(text, chunks), std::nullopt) << way.name;
                ASSERT_NO_FATAL_FAILURE(expect_sound(way, text, chunks));
                for (const Chunk& chunk : chunks) {
                    tokenizer->encode(
                        std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin), true,
                        tokens);
                    ASSERT_LE(tokens.size(), static_cast<std::size_t>(limit)) << way.name;
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, ModelLimit,
                         testing::Values("models/use-lite-en", "models/minilm-l6-tokenizer"));

class MiniLmChunks : public testing::Test {
  protected:
    void SetUp() override {
        PENSTOCK_REQUIRE_SHARED("models/minilm-l6-tokenizer");
        settings_.strategy = ChunkStrategy::fixed_token_length;
        settings_.tokenizer = load_tokenizer(shared_folder() / "models/minilm-l6-tokenizer");
    }

    ChunkSettings settings_;
};

TEST_F(MiniLmChunks, CountSpecialTokensAndCutBeforeWords) {
    settings_.token_limit = 6;
    EXPECT_EQ(texts_of(settings_, "one two three tokenization four"),
              (Texts{"one two three ", "tokenization four"}));
    settings_.overlap_rate = 0.25;
    EXPECT_EQ(texts_of(settings_, "one two three four five six"),
              (Texts{"one two three four ", "four five six"}));
    settings_.overlap_rate = 0;
    settings_.max_tokens = 4;
    EXPECT_EQ(texts_of(settings_, "one two three"), (Texts{"one two ", "three"}))
        << "the model's limit is lower";
    settings_.max_tokens = 2;
    EXPECT_THROW(Chunker::make(settings_), Error);
}

TEST_F(MiniLmChunks, FailWhereOneCharacterIsTooMuch) {
    settings_.token_limit = 4;
    std::vector<Chunk> chunks;
    settings_.tokenizer = load_tokenizer(shared_folder() / "models/use-lite-en");
    const std::optional<std::string> problem = Chunker::make(settings_)->chunk("a ﷺ", chunks);
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("the character 'ﷺ' at byte 2 alone makes"), std::string::npos)
        << *problem;
    EXPECT_TRUE(chunks.empty());
}

TEST_F(MiniLmChunks, NeverMergePastTheModel) {
    settings_.token_limit = 5;
    settings_.max_tokens = 5;
    settings_.max_chunk_limit = 2;
    settings_.on_limit = OnChunkLimit::merge;
    std::vector<Chunk> chunks;
    const std::optional<std::string> problem =
        Chunker::make(settings_)->chunk("one two three four five six seven eight", chunks);
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("more than the 5 that the model takes"), std::string::npos) << *problem;
}

TEST_F(MiniLmChunks, OfStrategyNoneAreRefusedWhenTooLong) {
    settings_.strategy = ChunkStrategy::none;
    settings_.max_tokens = 5;
    std::vector<Chunk> chunks;
    EXPECT_EQ(Chunker::make(settings_)->chunk("one two three", chunks), std::nullopt);
    const std::optional<std::string> problem =
        Chunker::make(settings_)->chunk("one two three four", chunks);
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("makes 6 tokens, more than the 5 that the model takes"),
              std::string::npos)
        << *problem;
}

TEST(Chunker, TakesAnyText) {
    using namespace std::string_literals;
    std::string flags;
    for (int count = 0; count < 20000; ++count)
        flags += "\U0001F1E9\U0001F1EA";
    std::string marks = "e";
    for (int count = 0; count < 200000; ++count)
        marks += "\u0301";
    for (const Way& way : all_ways()) {
        const auto chunker = Chunker::make(way.settings);
        std::vector<Chunk> chunks;
        for (const std::string& text :
             {""s, " "s, "\0"s, "a\0b"s, std::string(1 << 20, 'x'), std::string(1 << 20, ' '),
              std::string(1 << 18, '\n'), flags, marks}) {
            ASSERT_EQ(chunker->chunk(text, chunks), std::nullopt) << way.name;
            ASSERT_NO_FATAL_FAILURE(expect_sound(way, text, chunks));
        }
        EXPECT_EQ(chunker->chunk("a\xFF\xC3 b \xED\xA0\x80\x80", chunks),
                  std::nullopt);  // not UTF-8: no crash
    }
}

TEST(Chunker, RunsInManyThreadsAtOnce) {
    ChunkSettings settings = with(ChunkStrategy::sentence);
    settings.max_chunk_size = 20;
    const auto chunker = Chunker::make(settings);
    std::string text;
    for (int line = 0; line < 200; ++line)
        text += numbers(1, line % 17 + 2) + ". ";
    const std::size_t expected = cut(settings, text).size();
    std::vector<std::size_t> counts(4);
    std::vector<std::thread> threads;
    for (std::size_t& count : counts) {
        threads.emplace_back([&] {
            std::vector<Chunk> chunks;
            for (int round = 0; round < 50; ++round) {
                if (chunker->chunk(text, chunks) == std::nullopt) count += chunks.size();
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(counts, std::vector<std::size_t>(4, 50 * expected));
}

}  // namespace
}  // namespace penstock::text
