#include "tests/unit/processors/conformance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "tests/unit/processors/runner.h"

namespace penstock::processors {

using pipeline::Fate;
using pipeline::Node;

namespace {

/// Where we differ from the reference on purpose. `from` is the end of the case's origin, `config`
/// what it configures.
struct Deviation {
    std::string_view from;
    std::string_view config;
    std::string_view why;
};
constexpr std::string_view found_at_load =
    "a path that no document can have is refused when the pipeline is loaded";
constexpr std::string_view no_pattern =
    "a pattern that is none is refused when the pipeline is loaded, as the reference does; the "
    "case does not say so";
constexpr std::string_view of_seven =
    "as in Elasticsearch 8: a name that captures twice gives a list (another case asks for it)";
constexpr std::array deviations = {
    Deviation{"tests.json: reference without pairing",
              R"({"field":"message","pattern":"%{key} %{&key}"})", no_pattern},
    Deviation{"tests.json: no keys defined", R"({"field":"message","pattern":"anything"})",
              no_pattern},
    Deviation{"tests.json: invalid key", R"({"field":"message","pattern":"%{some?thing}"})",
              no_pattern},
    Deviation{
        "#testMultipleNamedCapturesWithSameName",
        R"({"field":"message","patterns":["%{SINGLEDIGIT:num}%{SINGLEDIGIT:num}"],"pattern_definitions":{"SINGLEDIGIT":"[0-9]"}})",
        of_seven},
    Deviation{"#testSetEmptyPathAfterStrippingOutPrefix", R"({"field":"_source.","value":"value"})",
              found_at_load},
    Deviation{"#testSetEmptyPathAfterStrippingOutPrefix", R"({"field":"_ingest.","value":"value"})",
              found_at_load},
    Deviation{"#testRemoveEmptyPathAfterStrippingOutPrefix", R"({"field":"_source."})",
              found_at_load},
    Deviation{"#testGetEmptyPathAfterStrippingOutPrefix", R"({"field":"_source."})", found_at_load},
};

class ConformanceTest : public testing::Test {
  public:
    explicit ConformanceTest(std::function<void()> body) : body_(std::move(body)) {}
    void TestBody() override { body_(); }

  private:
    std::function<void()> body_;
};

void add_test(const std::string& suite, const std::string& name, const std::string& file,
              std::uint32_t line, std::function<void()> body) {
    testing::RegisterTest(
        suite.c_str(), name.c_str(), nullptr, nullptr, file.c_str(), static_cast<int>(line),
        [body = std::move(body)]() -> ConformanceTest* { return new ConformanceTest(body); });
}

std::filesystem::path shared_folder() {
    if (const char* given = std::getenv("PENSTOCK_SHARED")) return given;
    return std::filesystem::path(PENSTOCK_SOURCE_DIR) / "../shared";
}

bool is_number(const Node& node) {
    return node.kind == Node::Kind::integer || node.kind == Node::Kind::floating ||
           node.kind == Node::Kind::number;
}

/// As the shared runner compares: members in any order, numbers by value (as 32-bit ones where a
/// case converts to float), lists in order.
bool matches(const Node& expected, const Node& actual, bool as_float) {
    if (is_number(expected) && is_number(actual)) {
        if (expected.kind == Node::Kind::integer && actual.kind == Node::Kind::integer) {
            return expected.integer == actual.integer;
        }
        double left = std::strtod(expected.text.c_str(), nullptr);
        double right = std::strtod(actual.text.c_str(), nullptr);
        return left == right || (as_float && static_cast<float>(left) == static_cast<float>(right));
    }
    if (expected.kind != actual.kind) return false;
    if (expected.is_list()) {
        return std::equal(expected.items.begin(), expected.items.end(), actual.items.begin(),
                          actual.items.end(),
                          [&](const Node& a, const Node& b) { return matches(a, b, as_float); });
    }
    if (!expected.is_map())
        return expected.boolean == actual.boolean && expected.text == actual.text;
    if (expected.entries.size() != actual.entries.size()) return false;
    return std::all_of(expected.entries.begin(), expected.entries.end(),
                       [&](const Node::Entry& entry) {
                           const Node* there = actual.find(entry.key);
                           return there != nullptr && matches(entry.value, *there, as_float);
                       });
}

/// A dotted path below `node`; the longest key first, since keys may have dots.
const Node* at_path(const Node& node, std::string_view path) {
    if (node.is_list()) {
        std::size_t dot = std::min(path.find('.'), path.size());
        std::size_t index = std::strtoul(std::string(path.substr(0, dot)).c_str(), nullptr, 10);
        if (index >= node.items.size()) return nullptr;
        return dot == path.size() ? &node.items[index]
                                  : at_path(node.items[index], path.substr(dot + 1));
    }
    if (const Node* whole = node.find(path)) return whole;
    for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos && dot > 0;
         dot = path.rfind('.', dot - 1)) {
        const Node* parent = node.find(path.substr(0, dot));
        const Node* found = parent == nullptr ? nullptr : at_path(*parent, path.substr(dot + 1));
        if (found != nullptr) return found;
    }
    return nullptr;
}

struct Case {
    std::string file;
    Node node;

    std::string text(std::string_view key) const {
        const Node* found = node.find(key);
        return found == nullptr ? "" : found->text;
    }
    const Deviation* deviation() const {
        std::string config = to_json(*node.find("config"));
        auto found = std::find_if(deviations.begin(), deviations.end(), [&](const Deviation& d) {
            return text("from").ends_with(d.from) && config == d.config;
        });
        return found == deviations.end() ? nullptr : &*found;
    }
    std::vector<Node> processors() const {
        const Node& config = *node.find("config");
        if (text("processor") == "pipeline" && config.is_list()) return config.items;
        return {processor_node(text("processor"), config)};
    }
};

/// Empty, or what is wrong.
std::string check_error(const Case& test, const RunResult& result) {
    const Node& error = *test.node.find("error");
    if (test.text("stage") == "create")
        return result.compiled ? "it was to be refused when it is loaded" : "";
    if (!result.compiled) return "does not compile: " + result.diagnostics;
    if (result.execution.fate != Fate::failed)
        return "it was to fail, but gave " + result.after.source;
    const document::Failure& failure = result.execution.failure;
    if (const Node* equals = error.find("equals");
        equals != nullptr && equals->text != failure.reason) {
        return "expected: " + equals->text + "\nactual:   " + failure.reason;
    }
    const Node* contains = error.find("contains");
    for (const Node& part : contains == nullptr ? std::vector<Node>{} : contains->items) {
        if (failure.reason.find(part.text) == std::string::npos) {
            return "expected to contain: " + part.text + "\nactual: " + failure.reason;
        }
    }
    return "";
}

std::string check_document(const Case& test, const RunResult& result) {
    if (!result.compiled) return "does not compile: " + result.diagnostics;
    if (result.execution.fate == Fate::failed) return "failed: " + result.execution.failure.reason;
    std::string config = to_json(*test.node.find("config"));
    bool as_float =
        config.find("float\"") != std::string::npos || config.find("\"auto\"") != std::string::npos;
    Node source = parse(result.after.source, "result");
    if (const Node* expected = test.node.find("expect");
        expected != nullptr && !matches(*expected, source, as_float)) {
        return "expected: " + to_json(*expected) + "\nactual:   " + result.after.source;
    }
    Node all = source;
    for (const Node::Entry& entry : parse(result.after.meta, "result").entries)
        all.entries.push_back(entry);
    all.entries.push_back({"_ingest", {}, parse(result.ingest, "result")});
    if (const Node* fields = test.node.find("expect_fields")) {
        for (const Node::Entry& field : fields->entries) {
            const Node* found = at_path(all, field.key);
            if (found == nullptr || !matches(field.value, *found, as_float)) {
                return field.key + ": expected " + to_json(field.value) + " in " +
                       result.after.source;
            }
        }
    }
    if (const Node* absent = test.node.find("absent")) {
        for (const Node& path : absent->items) {
            if (at_path(all, path.text) != nullptr)
                return path.text + " was to be absent in " + result.after.source;
        }
    }
    if (const Node* ingest = test.node.find("expect_ingest")) {
        Node actual = parse(result.ingest, "result");
        for (const Node::Entry& field : ingest->entries) {
            const Node* found = at_path(actual, field.key);
            if (found == nullptr || !matches(field.value, *found, as_float)) {
                return "_ingest." + field.key + ": expected " + to_json(field.value) + " in " +
                       result.ingest;
            }
        }
    }
    return "";
}

void run_case(const Case& test) {
    std::vector<Node> processors = test.processors();
    for (const Node& processor : processors) {
        const std::string& type = processor.entries.front().key;
        if (builtin().find(type) == nullptr)
            GTEST_SKIP() << "the processor " << type << " is not built in";
    }
    const Node* meta = test.node.find("metadata");
    RunResult result = run({{"test", processors}}, test.file, *test.node.find("doc"),
                           meta == nullptr ? Node{} : *meta);
    std::string wrong = test.node.find("error") != nullptr ? check_error(test, result)
                                                           : check_document(test, result);
    if (const Deviation* deviation = test.deviation()) {
        // A deviation that is gone must leave the table.
        EXPECT_NE(wrong, "") << "this is no deviation any more: " << deviation->why;
        return;
    }
    if (!wrong.empty())
        ADD_FAILURE_AT(test.file.c_str(), static_cast<int>(test.node.position.line)) << wrong;
}

}  // namespace

void register_conformance() {
    std::filesystem::path folder = shared_folder() / "conformance/cases";
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) {
        add_test("conformance", "cases", __FILE__, __LINE__,
                 [folder] { GTEST_SKIP() << folder << " is absent"; });
    }
    for (const auto& path : files) {
        std::ifstream stream(path);
        std::stringstream text;
        text << stream.rdbuf();
        pipeline::Diagnostics diagnostics;
        auto root = pipeline::parse_node(text.str(), path.string(), diagnostics);
        std::string suite = "conformance_" + path.stem().string();
        if (!root || root->items.empty()) {
            add_test(suite, "file", path.string(), 1,
                     [why = diagnostics.text()] { ADD_FAILURE() << why; });
            continue;
        }
        for (std::size_t i = 0; i < root->items.size(); ++i) {
            Case test{path.string(), root->items[i]};
            add_test(suite, std::to_string(i + 1), test.file, test.node.position.line,
                     [test] { run_case(test); });
        }
    }
}

}  // namespace penstock::processors
