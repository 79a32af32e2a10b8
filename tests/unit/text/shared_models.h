// The models and corpora that lie beside a source tree, and random texts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace penstock::text {

/// Where the models and corpora are: PENSTOCK_SHARED, or the folder `shared` beside the source
/// tree.
std::filesystem::path shared_folder();

/// Every string in every line of an NDJSON corpus.
std::vector<std::string> corpus_strings(std::string_view name);

/// A folder of one test, removed at its end.
class TestFolder {
  public:
    TestFolder();
    ~TestFolder();
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    void write(std::string_view name, std::string_view content) const;

  private:
    std::filesystem::path path_;
};

/// Texts of up to `most` parts: letters of several scripts, marks, emoji sequences, blanks,
/// controls, markup.
std::string random_text(std::mt19937& random, std::size_t most);

bool is_code_point_boundary(std::string_view text, std::size_t at);

}  // namespace penstock::text

#define PENSTOCK_REQUIRE_SHARED(path)                                                     \
    do {                                                                                  \
        if (!std::filesystem::exists(penstock::text::shared_folder() / (path))) {         \
            GTEST_SKIP() << (path) << " is not in the folder that PENSTOCK_SHARED names"; \
        }                                                                                 \
    } while (false)
