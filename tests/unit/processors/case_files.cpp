#include "tests/unit/processors/case_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "tests/unit/processors/runner.h"

namespace penstock::processors {

using pipeline::Fate;
using pipeline::Node;

namespace {

/// A test whose body is a function, registered at a place of our choice.
class DataTest : public testing::Test {
  public:
    explicit DataTest(std::function<void()> body) : body_(std::move(body)) {}
    void TestBody() override { body_(); }

  private:
    std::function<void()> body_;
};

void add_test(const std::string& suite, const std::string& name, const std::string& file,
              std::uint32_t line, std::function<void()> body) {
    testing::RegisterTest(suite.c_str(), name.c_str(), nullptr, nullptr, file.c_str(),
                          static_cast<int>(line),
                          [body = std::move(body)]() -> DataTest* { return new DataTest(body); });
}

struct Case {
    std::string processor;
    std::string file;
    Node node;

    const Node* find(std::string_view key) const {
        const Node* found = node.find(key);
        return found;
    }
    std::uint32_t line(std::string_view key) const {
        const Node* found = node.find(key);
        return found == nullptr ? node.position.line : found->position.line;
    }
    /// Reports at the line of `key`.
    void expect(bool good, std::string_view key, const std::string& what) const {
        if (!good) ADD_FAILURE_AT(file.c_str(), static_cast<int>(line(key))) << what;
    }
    void expect_equal(const std::string& actual, const std::string& expected,
                      std::string_view key) const {
        expect(actual == expected, key, "expected: " + expected + "\nactual:   " + actual);
    }
};

constexpr std::string_view known_keys[] = {
    "name", "options",  "processors", "pipelines", "in",         "meta",
    "out",  "out_meta", "out_ingest", "fails",     "fails_type", "does_not_compile"};

std::vector<PipelineNodes> pipelines_of(const Case& test) {
    std::vector<PipelineNodes> all;
    const Node* list = test.find("processors");
    const Node* options = test.find("options");
    if (list != nullptr) {
        all.push_back({"test", list->items});
    } else {
        all.push_back(
            {"test", {processor_node(test.processor, options != nullptr ? *options : Node{})}});
    }
    if (const Node* others = test.find("pipelines")) {
        for (const Node::Entry& entry : others->entries)
            all.push_back({entry.key, entry.value.items});
    }
    return all;
}

void check_form(const Case& test) {
    for (const Node::Entry& entry : test.node.entries) {
        bool known = std::find(std::begin(known_keys), std::end(known_keys), entry.key) !=
                     std::end(known_keys);
        test.expect(known, entry.key, "a case has no key [" + entry.key + "]");
    }
    int outcomes = 0;
    for (std::string_view key : {"out", "fails", "does_not_compile"})
        outcomes += test.find(key) != nullptr;
    test.expect(outcomes == 1, "name", "a case has exactly one of out, fails and does_not_compile");
    test.expect(test.find("does_not_compile") != nullptr || test.find("in") != nullptr, "name",
                "a case needs in");
}

void check_failure(const Case& test, const RunResult& result) {
    const Node& fails = *test.find("fails");
    if (result.execution.fate != Fate::failed) {
        return test.expect(false, "fails", "expected to fail, but gave " + result.after.source);
    }
    test.expect_equal(result.execution.failure.reason, fails.text, "fails");
    if (const Node* type = test.find("fails_type")) {
        test.expect_equal(std::string(document::type_name(result.execution.failure.type)),
                          type->text, "fails_type");
    }
    const pipeline::ProcessorSpec* spec = builtin().find(test.processor);
    if (spec != nullptr && spec->keeps_partial_changes) return;
    test.expect_equal(result.after.source, result.before.source, "fails");
    test.expect_equal(result.after.meta, result.before.meta, "fails");
}

/// Every member of `expected` is in the `_ingest` that came out.
void check_ingest(const Case& test, const RunResult& result) {
    const Node* expected = test.find("out_ingest");
    if (expected == nullptr) return;
    Node actual = parse(result.ingest, "_ingest");
    for (const Node::Entry& entry : expected->entries) {
        const Node* found = actual.find(entry.key);
        test.expect_equal(found == nullptr ? "absent" : to_json(*found), to_json(entry.value),
                          "out_ingest");
    }
}

void check_out(const Case& test, const RunResult& result) {
    const Node& out = *test.find("out");
    if (result.execution.fate == Fate::failed) {
        return test.expect(false, "out", "failed: " + result.execution.failure.reason);
    }
    bool dropped = out.is_string() && out.text == "dropped";
    test.expect(dropped == (result.execution.fate == Fate::dropped), "out",
                dropped ? "expected to be dropped" : "was dropped");
    if (dropped) return;
    bool unchanged = out.is_string() && out.text == "unchanged";
    test.expect_equal(result.after.source, unchanged ? result.before.source : to_json(out), "out");
    const Node* out_meta = test.find("out_meta");
    test.expect_equal(result.after.meta,
                      out_meta != nullptr ? to_json(*out_meta) : result.before.meta, "out_meta");
    check_ingest(test, result);
}

void run_case(const Case& test) {
    check_form(test);
    const Node* in = test.find("in");
    const Node* meta = test.find("meta");
    RunResult result = run(pipelines_of(test), test.file, in != nullptr ? *in : Node{},
                           meta != nullptr ? *meta : Node{});
    if (const Node* text = test.find("does_not_compile")) {
        test.expect(!result.compiled, "does_not_compile", "it compiled");
        test.expect(result.compiled || result.diagnostics.find(text->text) != std::string::npos,
                    "does_not_compile",
                    "expected: " + text->text + "\nreported: " + result.diagnostics);
        return;
    }
    if (!result.compiled)
        return test.expect(false, "options", "does not compile: " + result.diagnostics);
    if (test.find("fails") != nullptr) {
        check_failure(test, result);
    } else if (test.find("out") != nullptr) {
        check_out(test, result);
    }
}

void add_broken_file(const std::string& file, const std::string& why) {
    add_test("case_files", std::filesystem::path(file).filename(), file, 1,
             [file, why] { ADD_FAILURE_AT(file.c_str(), 1) << why; });
}

void register_file(const std::filesystem::path& path) {
    std::ifstream stream(path);
    std::stringstream text;
    text << stream.rdbuf();
    pipeline::Diagnostics diagnostics;
    auto root = pipeline::parse_node(text.str(), path.string(), diagnostics);
    if (!root || diagnostics.has_errors())
        return add_broken_file(path.string(), diagnostics.text());
    const Node* processor = root->find("processor");
    const Node* cases = root->find("cases");
    if (processor == nullptr || cases == nullptr || cases->items.empty()) {
        return add_broken_file(path.string(), "a case file has a processor and at least one case");
    }
    std::set<std::string> names;
    for (const Node& node : cases->items) {
        const Node* name = node.find("name");
        if (name == nullptr || !names.insert(name->text).second) {
            add_broken_file(path.string(), "line " + std::to_string(node.position.line) +
                                               ": a case has a name that no other has");
            continue;
        }
        Case test{processor->text, path.string(), node};
        add_test(processor->text, name->text, path.string(), node.position.line,
                 [test] { run_case(test); });
    }
}

/// Metadata and members of an example's document.
void split_example(const Node& document, Node& source, Node& meta) {
    source.kind = meta.kind = Node::Kind::map;
    for (const Node::Entry& entry : document.entries) {
        bool is_meta = false;
        for (std::size_t i = 0; i < document::meta_count; ++i) {
            is_meta |= document::meta_name(static_cast<document::Meta>(i)) == entry.key;
        }
        (is_meta ? meta : source).entries.push_back(entry);
    }
}

void run_example(const std::string& processor, const pipeline::Example& example) {
    SCOPED_TRACE(example.options);
    Node source, meta;
    split_example(parse(example.in, "example"), source, meta);
    RunResult result =
        run({{"test", {processor_node(processor, parse(example.options, "example"))}}}, "example",
            source, meta);
    ASSERT_TRUE(result.compiled) << result.diagnostics;
    if (!example.fails.empty()) {
        ASSERT_EQ(result.execution.fate, Fate::failed) << result.after.source;
        EXPECT_EQ(result.execution.failure.reason, example.fails);
        return;
    }
    ASSERT_NE(result.execution.fate, Fate::failed) << result.execution.failure.reason;
    if (example.out == "dropped") {
        EXPECT_EQ(result.execution.fate, Fate::dropped);
        return;
    }
    Node out_source, out_meta;
    split_example(parse(example.out, "example"), out_source, out_meta);
    EXPECT_EQ(result.after.source, to_json(out_source));
    EXPECT_EQ(result.after.meta, to_json(out_meta));
}

}  // namespace

void register_case_files() {
    std::filesystem::path folder =
        std::filesystem::path(PENSTOCK_SOURCE_DIR) / "tests/cases/processors";
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) add_broken_file(folder.string(), "no case files");
    for (const auto& file : files)
        register_file(file);
}

void register_examples() {
    for (const auto& [name, spec] : builtin().all()) {
        for (std::size_t i = 0; i < spec.examples.size(); ++i) {
            const pipeline::Example& example = spec.examples[i];
            add_test("examples", name + "." + std::to_string(i + 1), __FILE__, __LINE__,
                     [name = name, &example] { run_example(name, example); });
        }
    }
}

}  // namespace penstock::processors
