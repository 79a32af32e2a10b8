// Every file in tests/cases/faulty_pipelines against the findings in its `.expected` neighbour,
// exactly. PENSTOCK_UPDATE_EXPECTED=1 writes the neighbours anew: read the difference before
// keeping it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/pipeline/test_catalog.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> faulty_files() {
    std::vector<fs::path> files;
    for (const auto& entry :
         fs::directory_iterator(PENSTOCK_SOURCE_DIR "/tests/cases/faulty_pipelines")) {
        if (entry.path().extension() != ".expected") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

class FaultyPipeline : public testing::TestWithParam<fs::path> {};

TEST_P(FaultyPipeline, GetsExactlyTheExpectedFindings) {
    std::string name = GetParam().filename().string();
    Diagnostics diagnostics = test::check(content(GetParam()), name);
    std::string found = diagnostics.text() + "\n";
    fs::path expected = GetParam().string() + ".expected";
    if (std::getenv("PENSTOCK_UPDATE_EXPECTED") != nullptr) {
        std::ofstream(expected, std::ios::binary) << found;
    }
    EXPECT_TRUE(diagnostics.has_errors());
    ASSERT_TRUE(fs::exists(expected)) << "there is no " << expected;
    EXPECT_EQ(found, content(expected));
}

INSTANTIATE_TEST_SUITE_P(Files, FaultyPipeline, testing::ValuesIn(faulty_files()),
                         [](const auto& parameter) {
                             std::string name = parameter.param.filename().string();
                             std::replace_if(
                                 name.begin(), name.end(),
                                 [](char c) { return std::isalnum(c) == 0; }, '_');
                             return name;
                         });

TEST(FaultyPipelines, AreEnough) {
    EXPECT_GE(faulty_files().size(), 45u);
}

}  // namespace
}  // namespace penstock::pipeline
