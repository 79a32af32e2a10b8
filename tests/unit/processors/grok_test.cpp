// Grok expressions: what a case file cannot say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine/runtime/error.h"
#include "processors/grok/expression.h"

namespace penstock::processors {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using text::regex::RubyMatcher;
using text::regex::RubyPattern;

std::string error_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(Grok, CompilesEveryPatternThatComesWithIt) {
    for (const GrokSet set : {GrokSet::disabled, GrokSet::v1}) {
        const GrokPatternBank bank(set);
        for (const auto& [name, pattern] : grok_patterns(set)) {
            const std::string text = "%{" + std::string(name) + ":field}";
            EXPECT_EQ(error_of([&] { GrokExpression::compile({text}, bank, false); }), "") << name;
        }
    }
}

TEST(Grok, ExpandsReferences) {
    GrokPatternBank bank(GrokSet::disabled);
    bank.define("A", "x%{B:b:int}y");
    bank.define("B", "[0-9]");
    EXPECT_EQ(expand_grok({"<%{A}%{B:c}>%{"}, bank, false),
              "<(?:x(?<B:b:int>[0-9])y)(?<B:c>[0-9])>%{");
    EXPECT_EQ(expand_grok({"%{B}", "b"}, bank, false), "(?:(?:[0-9]))|(?:b)");
    EXPECT_EQ(expand_grok({"a", "b"}, bank, true),
              "(?<_ingest._grok_match_index.0>a)|(?<_ingest._grok_match_index.1>b)");
    EXPECT_EQ(expand_grok({"a"}, bank, true), "a");
}

TEST(Grok, KnowsWhatItCaptures) {
    const GrokPatternBank bank(GrokSet::disabled);
    const auto expression =
        GrokExpression::compile({"%{WORD:a} (?<b>x)|%{WORD:a} %{INT:a:long}"}, bank, false);
    ASSERT_EQ(expression.captures().size(), 3U);
    EXPECT_EQ(expression.captures()[0].field, "a");
    EXPECT_THAT(expression.captures()[0].groups, ElementsAre(1, 3));
    EXPECT_EQ(expression.captures()[1].field, "b");
    EXPECT_EQ(expression.captures()[2].type, GrokCaptureType::int64);
    EXPECT_THAT(expression.captures()[2].groups, ElementsAre(4));
}

TEST(Grok, NestsAsDeepAsPleases) {
    GrokPatternBank bank(GrokSet::disabled);
    bank.define("P0", "x");
    for (int i = 1; i < 3000; ++i)
        bank.define("P" + std::to_string(i), "%{P" + std::to_string(i - 1) + "}");
    bank.check();
    EXPECT_EQ(expand_grok({"%{P2999}"}, bank, false).size(), 3000 * 4 + 1U);
}

TEST(RubyPattern, GivesUpInTime) {
    const RubyPattern pattern = RubyPattern::compile("^(?:\\w+\\s?)*$");
    const std::string text = std::string(200, 'a') + "!";
    const auto begin = std::chrono::steady_clock::now();
    RubyMatcher matcher(pattern, text);
    EXPECT_FALSE(matcher.find());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(RubyPattern, RefusesWhatIsNotUtf8) {
    const RubyPattern pattern = RubyPattern::compile("a.");
    RubyMatcher matcher(pattern, "a\xF0\x9F");
    const auto found = matcher.find();
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().reason, HasSubstr("invalid"));
}

TEST(RubyPattern, IsSharedByThreads) {
    const RubyPattern pattern = RubyPattern::compile("(?<a>\\d+)-(?<a>\\d+)");
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            const std::string text = "x" + std::to_string(n) + "-" + std::to_string(n + 10);
            for (int i = 0; i < 500; ++i) {
                RubyMatcher matcher(pattern, text);
                const auto found = matcher.find();
                right += found && *found && matcher.group(1) == std::to_string(n) &&
                         matcher.group(2) == std::to_string(n + 10);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(right, 2000);
}

}  // namespace
}  // namespace penstock::processors
