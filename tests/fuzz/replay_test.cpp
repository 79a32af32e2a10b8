// Runs a fuzz target over the files of its corpus, so that every build has what fuzzing found.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST(Replay, TheCorpusIsHandled) {
    int files = 0;
    for (const char* folder : {PENSTOCK_CORPUS}) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
            if (!entry.is_regular_file()) continue;
            SCOPED_TRACE(entry.path().string());
            std::ifstream stream(entry.path(), std::ios::binary);
            std::string text(std::istreambuf_iterator<char>(stream), {});
            EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()),
                                             text.size()),
                      0);
            ++files;
        }
    }
    EXPECT_GT(files, 0) << "the corpus is empty";
}
