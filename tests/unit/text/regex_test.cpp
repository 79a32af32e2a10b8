#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "engine/runtime/error.h"
#include "engine/text/regex/java_syntax.h"
#include "engine/text/regex/replacement.h"

namespace penstock::text::regex {

namespace {

/// All matches of group 0, each in brackets.
std::string matches(std::string_view java, std::string_view text) {
    Pattern pattern = Pattern::compile(java);
    Matcher matcher(pattern, text);
    std::string all;
    while (matcher.find().value())
        all += "[" + std::string(*matcher.group(0)) + "]";
    return all;
}

std::string mistake(std::string_view java) {
    try {
        Pattern::compile(java);
    } catch (const Error& error) {
        return error.what();
    }
    return "it compiled";
}

struct MatchCase {
    const char* java;
    const char* text;
    const char* matches;
};

// What java.util.regex finds, by its documentation.
constexpr MatchCase match_cases[] = {
    {"a+", "aab a", "[aa][a]"},
    {"x*", "xab", "[x][][][]"},
    {"", "é", "[][]"},
    // classes
    {"[a-d[m-p]]+", "admpz", "[admp]"},
    {"[a-z&&[def]]+", "abdefg", "[def]"},
    {"[a-z&&[^bc]]+", "abcd", "[a][d]"},
    {"[^a-z&&[aeiou]]+", "xay", "[x][y]"},
    {"[a-z&&[^m-p]&&[^b]]+", "abno", "[a]"},
    {"[a[^b-z]]+", "abc1", "[a][1]"},
    {"[[abc]]+", "xabc", "[abc]"},
    {"[]a]+", "]a[", "[]a]"},
    {"[\\w-.]+", "a-.b c", "[a-.b][c]"},
    {"[.\\-\\]]+", "a.-]", "[.-]]"},
    {"[a-]+", "a-b", "[a-]"},
    {"[&a]+", "a&b", "[a&]"},
    {"[[:alpha:]]+", "alp:x", "[alp:]"},
    {"[\\Q]-[\\E]+", "]-[x", "[]-[]"},
    {"[^\\d\\s]+", "1a b", "[a][b]"},
    {"[\\P{Lower}a]+", "abC", "[a][C]"},
    // escapes
    {"\\Qa.b\\E.", "a.bcaxb", "[a.bc]"},
    {"\\Qa.b", "a.baxb", "[a.b]"},
    {"\\x41\\u0042\\x{43}\\0104", "ABCD", "[ABCD]"},
    {"\\uD83D\\uDE00", "😀", "[😀]"},
    {"\\cA", "\x01", "[\x01]"},
    {"\\h+", "a \t\xC2\xA0z", "[ \t\xC2\xA0]"},
    {"\\bé", "é é", ""},  // \b knows ASCII letters alone
    {"\\_\\-\\<", "_-<", "[_-<]"},
    // properties
    {"\\p{Upper}\\p{Alpha}+", "aBc", "[Bc]"},
    {"\\p{Punct}+", "a!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~z", "[!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~]"},
    {"\\p{L}+", "aéΩ1", "[aéΩ]"},
    {"\\pL+", "aé1", "[aé]"},
    {"\\P{L}+", "aé12", "[12]"},
    {"\\p{IsGreek}+", "aΩω", "[Ωω]"},
    {"\\p{script=Greek}+", "aΩω", "[Ωω]"},
    {"\\p{IsAlphabetic}+", "aé1", "[aé]"},
    {"\\p{javaLowerCase}+", "aéÉ", "[aé]"},
    {"\\p{javaWhitespace}+", " \t\xC2\xA0", "[ \t]"},
    // flags
    {"(?i)ab", "aB", "[aB]"},
    {"a(?i:b)c", "aBc aBC", "[aBc]"},
    {"(?s).+", "a\nb", "[a\nb]"},
    {"(?m)^.", "ab\ncd", "[a][c]"},
    {"(?x) a b # comment (\n [c d] ", "abcabd", "[abc][abd]"},
    {"(?U)\\w+", "aé-", "[aé]"},
    {"(?u)a", "a", "[a]"},
    {"(?d).+", "a\rb\nc", "[a\rb][c]"},
    // groups and back references
    {"(a)(b)?\\1", "aa aba", "[aa][aba]"},
    {"(a)\\11", "aa1", "[aa1]"},
    {"(?<x>a)\\k<x>", "aa", "[aa]"},
    {"(?>a+)a", "aaa", ""},
    {"a++a", "aaa", ""},
    {"(?<!\\\\),", "a\\,b,", "[,]"},
    {"a{2}|b{1,}|c{0,2}d", "aabbccd", "[aa][bb][ccd]"},
    // line ends
    {".+", "a\r\nb\rc\nd", "[a][b][c][d]"},
    {".(?!$)", "abc", "[a][b]"},
    {"a(?!$)b", "ab\r\n", "[ab]"},
    {"b$", "b\nb\r\n", "[b]"},
};

TEST(Pattern, FindsWhatJavaFinds) {
    for (const MatchCase& c : match_cases) {
        SCOPED_TRACE(c.java);
        try {
            EXPECT_EQ(matches(c.java, c.text), c.matches) << from_java(c.java);
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
    }
}

TEST(Pattern, SaysWhatIsWrong) {
    EXPECT_EQ(mistake("["), "Unclosed character class near index 0");
    EXPECT_EQ(mistake("[a&&"), "Unclosed character class near index 3");
    EXPECT_EQ(mistake("[b-a]"), "Illegal character range near index 1");
    EXPECT_EQ(mistake("a("), "Unclosed group near index 2");
    EXPECT_EQ(mistake("a)"), "Unmatched closing ')' near index 1");
    EXPECT_EQ(mistake("{a}"), "Illegal repetition near index 0");
    EXPECT_EQ(mistake("(*ACCEPT)"), "Dangling meta character '*' near index 1");
    EXPECT_EQ(mistake("\\y"), "Illegal/unsupported escape sequence near index 1");
    EXPECT_EQ(mistake("a\\"), "A backslash ends the pattern near index 1");
    EXPECT_EQ(mistake("\\xZ"), "Illegal hexadecimal escape sequence near index 0");
    EXPECT_EQ(mistake("(?R)"), "Unknown inline modifier near index 2");
    EXPECT_EQ(mistake("(?P<x>a)"), "Unknown inline modifier near index 2");
    EXPECT_EQ(
        mistake("\\uD83D"),
        "half of a surrogate pair matches nothing; write the character or \\x{1F600} near index 0");
    EXPECT_NE(mistake("\\p{InGreek}").find("Unicode blocks are not supported"), std::string::npos);
    EXPECT_NE(mistake("a(?d)b").find("at the start of the pattern only"), std::string::npos);
    EXPECT_NE(mistake("*a").find("quantifier does not follow a repeatable item"),
              std::string::npos);
    EXPECT_NE(mistake("(?<=a*)b").find("lookbehind"), std::string::npos);
    EXPECT_NE(mistake(std::string(200, '[') + "a").find("Nested too deeply"), std::string::npos);
}

TEST(Pattern, KnowsItsGroups) {
    Pattern pattern = Pattern::compile("(a)(?<name>b)(?:c)");
    EXPECT_EQ(pattern.groups(), 2u);
    EXPECT_EQ(pattern.group("name"), 2u);
    EXPECT_EQ(pattern.group("other"), std::nullopt);
    EXPECT_EQ(pattern.text(), "(a)(?<name>b)(?:c)");
}

TEST(Matcher, GivesUpInsteadOfHanging) {
    Pattern pattern = Pattern::compile("(a+)+$");
    std::string text = std::string(100, 'a') + "b";
    Matcher matcher(pattern, text);
    auto found = matcher.find();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().reason,
              "regular expression [(a+)+$] gave up on a text of 101 bytes: match limit exceeded");
}

TEST(Matcher, GoesDeep) {
    // More than the machine stack of the compiled code holds.
    Pattern pattern = Pattern::compile("(?:(a)|b)*c");
    std::string text = std::string(60000, 'a') + "c";
    Matcher matcher(pattern, text);
    auto found = matcher.find();
    ASSERT_TRUE(found) << found.error().reason;
    EXPECT_TRUE(*found);
    EXPECT_EQ(matcher.end(), text.size());
}

TEST(Matcher, RefusesWhatIsNotUtf8) {
    Pattern pattern = Pattern::compile("a+");
    Matcher matcher(pattern, "\xFF");
    EXPECT_FALSE(matcher.find());
}

TEST(Matcher, FindsPlainText) {
    EXPECT_EQ(matches("ab", "abab aab"), "[ab][ab][ab]");
    EXPECT_EQ(matches("]}-&#:<>=/ ~", "x]}-&#:<>=/ ~"), "[]}-&#:<>=/ ~]");
    EXPECT_EQ(matches("\\|\\\\\\.", "|\\.|\\x"), "[|\\.]");
    EXPECT_EQ(matches("\\t\\n", "\t\n"), "[\t\n]");
    EXPECT_EQ(matches("é→😀", "é→😀é"), "[é→😀]");
    EXPECT_EQ(matches("ab", ""), "");
    Pattern pattern = Pattern::compile("b");
    Matcher matcher(pattern, "abc");
    ASSERT_TRUE(matcher.find().value());
    EXPECT_EQ(matcher.begin(), 1u);
    EXPECT_EQ(matcher.group(1), std::nullopt);
}

TEST(LiteralOf, KnowsPlainText) {
    for (const char* pattern : {"a b", "=", "é", "a]b}", "-&#"})
        EXPECT_EQ(literal_of(pattern), pattern);
    EXPECT_EQ(literal_of("\\|\\."), "|.");
    EXPECT_EQ(literal_of("a\\tb\\n\\r"), "a\tb\n\r");
    for (const char* pattern : {"", ".", "a|b", "^a", "a$", "a?", "a*", "a+", "(a)", "[a]", "a{2}",
                                "\\d", "\\Qa\\E", "\\s", "\\b", "\\1", "\\u0041", "\\é"})
        EXPECT_EQ(literal_of(pattern), std::nullopt) << pattern;
}

TEST(Matcher, NestsAndHasNoSubjectToo) {
    Pattern outer = Pattern::compile("(\\w)(\\w)");
    Pattern inner = Pattern::compile("()()()()()()()()()()()()()()()()()()()()x");
    Matcher matcher(outer, "xy");
    ASSERT_TRUE(matcher.find().value());
    {
        Matcher within(inner, *matcher.group(1));
        EXPECT_TRUE(within.find().value());
        EXPECT_FALSE(within.find().value());
    }
    EXPECT_EQ(matcher.group(2), "y");
    EXPECT_EQ(matcher.group(3), std::nullopt);
    Matcher nothing(outer, std::string_view());
    EXPECT_FALSE(nothing.find().value());
}

TEST(Matcher, ServesManyThreads) {
    Pattern pattern = Pattern::compile("(\\d+)-(\\d+)");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&pattern, t] {
            for (int i = 0; i < 500; ++i) {
                std::string text = "a" + std::to_string(t) + "-" + std::to_string(i);
                Matcher matcher(pattern, text);
                ASSERT_TRUE(matcher.find().value());
                ASSERT_EQ(matcher.group(2), std::to_string(i));
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
}

TEST(Matcher, StaysLinearInManyMatches) {
    // Checking the encoding anew for each match would take minutes here.
    Pattern pattern = Pattern::compile("[é]");
    std::string text;
    for (int i = 0; i < 500'000; ++i)
        text += "é";
    std::string out;
    EXPECT_TRUE(replace_all(pattern, Replacement::compile("e", pattern), text, out).value());
    EXPECT_EQ(out.size(), 500'000u);
}

}  // namespace

}  // namespace penstock::text::regex
