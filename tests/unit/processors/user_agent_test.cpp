// User agents: what a case file cannot say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "engine/pipeline/definition.h"
#include "engine/runtime/error.h"
#include "engine/text/regex/pattern.h"
#include "processors/user_agent/literal_filter.h"
#include "processors/user_agent/parser.h"

namespace penstock::processors {
namespace {

namespace fs = std::filesystem;
using pipeline::Node;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    return content.str();
}

Node parse_yaml(const fs::path& path) {
    pipeline::Diagnostics diagnostics;
    auto node = pipeline::parse_node(read(path), path.string(), diagnostics);
    EXPECT_TRUE(node) << diagnostics.text();
    return node ? std::move(*node) : Node{};
}

/// The file that comes with the program.
const Node& regexes() {
    static const Node root =
        parse_yaml(fs::path(PENSTOCK_SOURCE_DIR) / "processors/user-agent-regexes/regexes.yaml");
    return root;
}

std::string regex_of(const Node& rule) {
    const Node* flag = rule.find("regex_flag");
    return (flag != nullptr ? "(?i)" : "") + rule.find("regex")->text;
}

/// uap-core's own test files, which are in the shared folder.
fs::path agents() {
    const char* given = std::getenv("PENSTOCK_SHARED");
    const fs::path shared =
        given != nullptr ? fs::path(given) : fs::path(PENSTOCK_SOURCE_DIR) / "../shared";
    return shared / "conformance/user-agents";
}

std::string text_of(const Node& node, std::string_view key) {
    const Node* found = node.find(key);
    return found == nullptr || found->is_null() ? "" : found->text;
}

/// "1.2.3" of the parts that there are.
std::string version_of(const Node& test, std::initializer_list<std::string_view> parts) {
    std::string version;
    for (const std::string_view part : parts) {
        const std::string text = text_of(test, part);
        if (text.empty()) break;
        version += (version.empty() ? "" : ".") + text;
    }
    return version;
}

TEST(LiteralFilter, FindsWhatMustBeThere) {
    EXPECT_THAT(required_literals("(Firefox)/(\\d+)"), ElementsAre("firefox"));
    EXPECT_THAT(required_literals("(?:Foo|Barb)x?"), ElementsAre("foo", "barb"));
    EXPECT_THAT(required_literals("Foo(?:|Longer)"), ElementsAre("foo"));
    EXPECT_THAT(required_literals("Fooo?bar"), ElementsAre("foo"));
    EXPECT_THAT(required_literals("(Foo){0,2}Q\\.Q"), ElementsAre("q.q"));
    EXPECT_THAT(required_literals("(?i)(Foo)+"), ElementsAre("foo"));
    EXPECT_THAT(required_literals("(?!Nothing)x[Some]y"), IsEmpty());
    EXPECT_THAT(required_literals("Foo|."), IsEmpty());
    EXPECT_THAT(required_literals("Foo\\QBar\\E"), IsEmpty());
    EXPECT_THAT(required_literals("Foo("), IsEmpty());
}

TEST(LiteralFilter, LosesNoMatch) {
    if (!fs::exists(agents())) GTEST_SKIP() << agents() << " is absent";
    std::vector<std::string> texts;
    for (const char* file : {"test_ua.yaml", "test_os.yaml", "test_device.yaml"}) {
        const Node tests = parse_yaml(agents() / file);
        const std::vector<Node>& items = tests.find("test_cases")->items;
        for (std::size_t i = 0; i < items.size(); i += 7)
            texts.push_back(text_of(items[i], "user_agent_string"));
    }
    std::vector<std::string> patterns;
    std::vector<std::vector<std::string>> literals;
    for (const Node::Entry& list : regexes().entries) {
        for (const Node& rule : list.value.items) {
            patterns.push_back(regex_of(rule));
            literals.push_back(required_literals(patterns.back()));
        }
    }
    const LiteralFilter filter(literals);
    std::vector<LiteralFilter::Set> candidates;
    for (const std::string& text : texts)
        candidates.push_back(filter.candidates(text));
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        const auto pattern = text::regex::Pattern::compile(patterns[i]);  // every one compiles
        for (std::size_t n = 0; n < texts.size(); ++n) {
            if (LiteralFilter::has(candidates[n], i)) continue;
            text::regex::Matcher matcher(pattern, texts[n]);
            EXPECT_FALSE(*matcher.find()) << patterns[i] << "\n" << texts[n];
        }
    }
}

class UapCore : public testing::TestWithParam<const char*> {};

TEST_P(UapCore, SaysWhatItsOwnTestsSay) {
    const fs::path file = agents() / GetParam();
    if (!fs::exists(file)) GTEST_SKIP() << file << " is absent";
    const auto parser = UserAgentParsers().find("");
    const std::string kind = GetParam();
    const Node tests = parse_yaml(file);
    for (const Node& test : tests.find("test_cases")->items) {
        const std::string text = text_of(test, "user_agent_string");
        if (test.find("js_ua") != nullptr) continue;  // needs what the browser itself says
        const auto agent = parser->parse(text);
        ASSERT_TRUE(agent) << text;
        const std::string family = text_of(test, "family");
        const auto& part = kind == "test_ua.yaml"   ? (*agent)->browser
                           : kind == "test_os.yaml" ? (*agent)->system
                                                    : (*agent)->device;
        EXPECT_EQ(part ? part->name : "Other", family) << text;
        if (kind == "test_device.yaml" || family == "Other") continue;
        const std::string version =
            kind == "test_os.yaml" ? version_of(test, {"major", "minor", "patch", "patch_minor"})
                                   : version_of(test, {"major", "minor", "patch"});
        const std::string actual = part ? part->version.value_or("") : "";
        // A browser's version may have a fourth part, which these files do not look at.
        EXPECT_TRUE(actual == version ||
                    (kind == "test_ua.yaml" && actual.starts_with(version + ".")))
            << text << "\n"
            << actual << " and not " << version;
    }
}

INSTANTIATE_TEST_SUITE_P(Files, UapCore,
                         testing::Values("test_ua.yaml", "test_os.yaml", "test_device.yaml"),
                         [](const auto& test) { return fs::path(test.param).stem().string(); });

class RegexFiles : public testing::Test {
  protected:
    RegexFiles() {
        directory_ = fs::temp_directory_path() / ("user_agents_" + std::to_string(::getpid()));
        fs::create_directories(directory_);
    }
    ~RegexFiles() override { fs::remove_all(directory_); }

    void write(const std::string& name, const std::string& text) {
        std::ofstream(directory_ / name) << text;
    }
    std::string error_of(const std::string& name) {
        try {
            UserAgentParsers(directory_).find(name);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    fs::path directory_;
};

TEST_F(RegexFiles, AreReadFromTheDirectory) {
    write("own.yml",
          "user_agent_parsers:\n- regex: '(a+)(b*)-(\\d)'\n  family_replacement: 'x $1 $9$1 '\n");
    write("own.yaml", "user_agent_parsers:\n- regex: a\n");
    const UserAgentParsers parsers(directory_);
    const auto own = parsers.find("own.yml");
    ASSERT_TRUE(own);
    EXPECT_EQ(parsers.find("own.yml"), own);
    const UserAgentPtr agent = *own->parse("caa-1");
    ASSERT_TRUE(agent->browser);
    EXPECT_EQ(agent->browser->name, "x aa aa");
    EXPECT_FALSE(agent->browser->version);  // an empty part ends it
    EXPECT_FALSE(agent->system);
    EXPECT_EQ(*agent->device.value_or(NamedVersion{"", "none"}).version, "none");
    for (const char* name : {"own.yaml", "none.yml", "../own.yml", "./own.yml", "/etc/own.yml"})
        EXPECT_FALSE(parsers.find(name)) << name;
    EXPECT_FALSE(UserAgentParsers().find("own.yml"));
}

TEST_F(RegexFiles, SayWhatIsWrongWithThem) {
    write("empty.yml", "os_parsers: []\n");
    EXPECT_THAT(error_of("empty.yml"), HasSubstr("not a valid regular expression file"));
    write("map.yml", "os_parsers: {}\n");
    EXPECT_THAT(error_of("map.yml"), HasSubstr("map.yml:1: [os_parsers] expects a list"));
    write("text.yml", "os_parsers:\n- x\n");
    EXPECT_THAT(error_of("text.yml"), HasSubstr("text.yml:2: [os_parsers] expects maps"));
    write("none.yml", "os_parsers:\n- os_replacement: x\n");
    EXPECT_THAT(error_of("none.yml"), HasSubstr("has no [regex]"));
    write("wrong.yml", "os_parsers:\n- regex: 'a('\n");
    EXPECT_THAT(error_of("wrong.yml"), HasSubstr("the regular expression [a(] is not valid"));
    write("yaml.yml", "os_parsers: [\n");
    EXPECT_THAT(error_of("yaml.yml"), HasSubstr("yaml.yml"));
}

TEST(UserAgentCache, ForgetsWhatWasNotAskedForLast) {
    const auto agent = std::make_shared<const UserAgent>();
    UserAgentCache cache(1);
    cache.insert("a", agent);
    EXPECT_EQ(cache.find("a"), agent);
    cache.insert("b", agent);
    EXPECT_EQ(cache.find("a"), nullptr);
    EXPECT_EQ(cache.find("b"), agent);
    const std::string longer(UserAgentCache::longest_text + 1, 'x');
    cache.insert(longer, agent);
    EXPECT_EQ(cache.find(longer), nullptr);
    UserAgentCache off(0);
    off.insert("a", agent);
    EXPECT_EQ(off.find("a"), nullptr);
}

TEST(UserAgentCache, IsBounded) {
    UserAgentCache cache(1000);
    for (int i = 0; i < 5000; ++i)
        cache.insert(std::to_string(i), std::make_shared<const UserAgent>());
    int kept = 0;
    for (int i = 0; i < 5000; ++i)
        kept += cache.find(std::to_string(i)) != nullptr;
    EXPECT_LE(kept, 1000);
    EXPECT_GT(kept, 900);
}

TEST(UserAgentParser, IsSharedByThreads) {
    const UserAgentParsers parsers({}, 4);
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            for (int i = 0; i < 50; ++i) {
                const std::string version = std::to_string(n + i % 5);
                const auto agent = parsers.find("")->parse("Firefox/" + version + ".0");
                ASSERT_TRUE(agent);
                EXPECT_EQ((*agent)->browser->version, version + ".0");
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
}

}  // namespace
}  // namespace penstock::processors
