// Which way folders may depend: the include lines of all sources against the table below.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {
namespace {

namespace fs = std::filesystem;

/// What files under a folder may include, besides files under that folder itself: folders or single
/// files.
struct Rule {
    std::string_view folder;
    std::vector<std::string_view> may_include;
};

/// Lowest first: a folder includes only what stands above it. `plugins/NAME` are in `allowed`.
const std::vector<Rule> rules = {
    {"engine/runtime", {}},
    {"engine/document", {"engine/runtime/error.h"}},
    // Per-document failures are values everywhere, so a text function may answer with one.
    {"engine/text", {"engine/runtime/error.h", "engine/document/failure.h"}},
    {"engine/script", {"engine/runtime/error.h", "engine/document", "engine/text"}},
    {"engine/pipeline", {"engine/runtime", "engine/document", "engine/text", "engine/script"}},
    {"engine/inference", {"engine/runtime", "engine/text"}},
    {"engine/io", {"engine/runtime", "engine/document"}},
    {"engine/job", {"engine/runtime", "engine/document", "engine/pipeline", "engine/io"}},
    {"plugins/sdk", {}},
    {"engine/plugin",
     {"engine/runtime", "engine/document", "engine/text", "engine/script", "engine/pipeline",
      "engine/inference", "engine/io", "engine/job", "plugins/sdk"}},
    {"processors",
     {"engine/runtime", "engine/document", "engine/text", "engine/script", "engine/pipeline",
      "engine/inference"}},
    {"tools",
     {"engine/runtime", "engine/document", "engine/text", "engine/script", "engine/pipeline",
      "engine/inference", "engine/io", "engine/job", "engine/plugin", "processors"}},
};

/// Libraries that stay out of headers: whoever includes such a header would pay for them.
constexpr std::string_view only_in_sources[] = {
    "yaml-cpp/",      "sqlite3.h",   "torch/", "ATen/",          "c10/",           "openssl/",
    "boost/asio.hpp", "boost/beast", "curl/",  "boost/asio/ssl", "unicode/regex.h"};

/// libtorch is the torch backend's alone.
constexpr std::string_view only_in_torch[] = {"torch/", "ATen/", "c10/"};

bool is_under(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

bool is_header(std::string_view file) {
    return file.ends_with(".h") || file.ends_with(".hpp");
}

const Rule* rule_of(std::string_view file) {
    for (const Rule& rule : rules) {
        if (is_under(file, rule.folder)) return &rule;
    }
    return nullptr;
}

/// "plugins/torch" of "plugins/torch/tests/backend.h".
std::string_view plugin_of(std::string_view file) {
    return file.substr(0, file.find('/', std::string_view("plugins/").size()));
}

/// May `file` include `included`, a file of ours? Both from the root.
bool allowed(std::string_view file, std::string_view included) {
    if (is_under(included, "tests")) return false;
    if (is_under(file, "plugins") && !is_under(file, "plugins/sdk")) {
        return is_under(included, plugin_of(file)) || is_under(included, "plugins/sdk");
    }
    const Rule* rule = rule_of(file);
    if (rule == nullptr) return false;
    if (is_under(included, rule->folder)) return true;
    for (std::string_view other : rule->may_include) {
        if (is_under(included, other)) return true;
    }
    return false;
}

/// Libraries' headers, as they stand between < and >.
bool library_allowed(std::string_view file, std::string_view header) {
    bool in_torch = is_under(file, "plugins/torch");
    for (std::string_view torch : only_in_torch) {
        if (header.starts_with(torch)) return in_torch;
    }
    if (!is_header(file) || in_torch) return true;
    for (std::string_view heavy : only_in_sources) {
        if (header.starts_with(heavy)) return false;
    }
    return true;
}

/// The text between the quotes or brackets of an include line, with the opening one; empty for
/// other lines.
std::string included_in(std::string_view line) {
    std::size_t at = line.find_first_not_of(" \t");
    if (at == std::string_view::npos || line[at] != '#') return "";
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string_view::npos || !line.substr(at).starts_with("include")) return "";
    at = line.find_first_of("\"<", at);
    if (at == std::string_view::npos) return "";
    std::size_t end = line.find_first_of("\">", at + 1);
    return end == std::string_view::npos ? "" : std::string(line.substr(at, end - at));
}

class Tree {
  public:
    explicit Tree(fs::path root) : root_(std::move(root)) {}

    /// All sources under the four folders, from the root.
    std::vector<std::string> files() const {
        std::vector<std::string> all;
        for (const char* top : {"engine", "processors", "plugins", "tools"}) {
            if (!fs::exists(root_ / top)) continue;
            for (const auto& entry : fs::recursive_directory_iterator(root_ / top)) {
                std::string extension = entry.path().extension().string();
                if (extension == ".h" || extension == ".hpp" || extension == ".c" ||
                    extension == ".cpp") {
                    all.push_back(fs::relative(entry.path(), root_).generic_string());
                }
            }
        }
        return all;
    }

    /// "file:line: what" for each include line that must not be.
    std::vector<std::string> violations(const std::string& file) const {
        std::vector<std::string> found;
        std::ifstream in(root_ / file);
        std::size_t number = 0;
        for (std::string line; std::getline(in, line);) {
            ++number;
            std::string included = included_in(line);
            if (included.empty()) continue;
            std::string problem = check(file, included.substr(1));
            if (!problem.empty())
                found.push_back(file + ":" + std::to_string(number) + ": " + problem);
        }
        return found;
    }

  private:
    std::string check(const std::string& file, const std::string& header) const {
        std::string ours = resolve(file, header);
        if (ours.empty()) {
            return library_allowed(file, header) ? "" : "<" + header + "> does not belong here";
        }
        return allowed(file, ours) ? "" : "must not include " + ours;
    }

    /// The file of ours that is meant, from the root; empty when it is a library's.
    std::string resolve(const std::string& file, const std::string& header) const {
        if (fs::exists(root_ / header)) return header;
        fs::path beside = fs::path(file).parent_path() / header;
        if (fs::exists(root_ / beside)) return beside.lexically_normal().generic_string();
        fs::path sdk = fs::path("plugins/sdk/include") / header;
        return fs::exists(root_ / sdk) ? sdk.generic_string() : "";
    }

    fs::path root_;
};

TEST(Layering, IncludesGoDownwards) {
    Tree tree(PENSTOCK_SOURCE_DIR);
    std::vector<std::string> files = tree.files();
    ASSERT_GT(files.size(), 50u) << "no sources under " PENSTOCK_SOURCE_DIR;
    for (const std::string& file : files) {
        for (const std::string& violation : tree.violations(file))
            ADD_FAILURE() << violation;
    }
}

TEST(Layering, EveryFolderHasItsRule) {
    for (const std::string& file : Tree(PENSTOCK_SOURCE_DIR).files()) {
        EXPECT_TRUE(is_under(file, "plugins") || rule_of(file) != nullptr) << file;
    }
}

TEST(Layering, RulesAreInOrder) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
        for (std::string_view other : rules[i].may_include) {
            bool above = false;
            for (std::size_t j = 0; j < i; ++j)
                above = above || is_under(other, rules[j].folder);
            EXPECT_TRUE(above) << rules[i].folder << " includes " << other;
        }
    }
}

TEST(Layering, KnowsForbiddenArrows) {
    EXPECT_FALSE(allowed("engine/pipeline/executor.cpp", "processors/builtin.h"));
    EXPECT_FALSE(allowed("engine/pipeline/executor.cpp", "engine/inference/deployment.h"));
    EXPECT_FALSE(allowed("engine/document/value.h", "engine/runtime/runtime.h"));
    EXPECT_FALSE(allowed("engine/document/value.h", "tools/penstock/command.h"));
    EXPECT_FALSE(allowed("processors/set.cpp", "tools/penstock/command.h"));
    EXPECT_FALSE(allowed("plugins/torch/bert.cpp", "engine/text/tokenizer.h"));
    EXPECT_FALSE(allowed("plugins/torch/tests/bert_test.cpp", "plugins/samples/lookup/lookup.cpp"));
    EXPECT_FALSE(allowed("plugins/sdk/include/penstock_plugin.hpp", "engine/runtime/error.h"));
    EXPECT_FALSE(allowed("engine/io/sink.cpp", "tests/unit/io/scratch.h"));
    EXPECT_FALSE(allowed("engine/textual/a.cpp", "engine/text/chunk.h"));
    EXPECT_TRUE(allowed("plugins/torch/tests/bert_test.cpp", "plugins/torch/bert.h"));
    EXPECT_TRUE(allowed("plugins/torch/plugin.cpp", "plugins/sdk/include/penstock_plugin.hpp"));
    EXPECT_TRUE(allowed("engine/document/value.cpp", "engine/runtime/error.h"));
    EXPECT_TRUE(allowed("tools/penstock/main.cpp", "processors/builtin.h"));

    EXPECT_FALSE(library_allowed("engine/io/index.h", "sqlite3.h"));
    EXPECT_FALSE(library_allowed("engine/inference/model.cpp", "torch/torch.h"));
    EXPECT_FALSE(library_allowed("engine/pipeline/executor.h", "boost/asio.hpp"));
    EXPECT_TRUE(library_allowed("engine/pipeline/executor.h", "boost/asio/awaitable.hpp"));
    EXPECT_TRUE(library_allowed("engine/io/index.cpp", "sqlite3.h"));
    EXPECT_TRUE(library_allowed("plugins/torch/layers.h", "ATen/core/Tensor.h"));
}

TEST(Layering, ReadsIncludeLines) {
    EXPECT_EQ(included_in("#include \"a/b.h\""), "\"a/b.h");
    EXPECT_EQ(included_in("  #  include <a/b.h>  // why"), "<a/b.h");
    EXPECT_EQ(included_in("// #include \"a.h\""), "");
    EXPECT_EQ(included_in("#if 1"), "");
    EXPECT_EQ(included_in("include \"a.h\""), "");
}

}  // namespace
}  // namespace penstock
