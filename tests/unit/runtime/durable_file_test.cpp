#include "engine/runtime/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "engine/runtime/error.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DurableFile : public ::testing::Test {
  protected:
    DurableFile() {
        std::string made = (fs::temp_directory_path() / "penstock-durable-XXXXXX").native();
        if (::mkdtemp(made.data()) == nullptr) throw Error("cannot make " + made);
        directory_ = made;
    }
    ~DurableFile() override {
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
    }

    std::vector<std::string> entries() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(directory_))
            names.push_back(entry.path().filename().native());
        return names;
    }

    fs::path directory_;
};

TEST_F(DurableFile, ReplacesAndLeavesNothingBeside) {
    const fs::path file = directory_ / "state.json";
    EXPECT_EQ(read_file(file), std::nullopt);
    replace_file(file, "first, and longer");
    replace_file(file, std::string_view("a\0b", 3));
    EXPECT_EQ(read_file(file), std::string("a\0b", 3));
    replace_file(file, "");
    EXPECT_EQ(read_file(file), "");
    EXPECT_THAT(entries(), ::testing::ElementsAre("state.json"));
    EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(DurableFile, MakesTheDirectory) {
    replace_file(directory_ / "a" / "b" / "state", "x");
    EXPECT_EQ(read_file(directory_ / "a" / "b" / "state"), "x");
}

TEST_F(DurableFile, SaysWhichFileCannotBeWrittenAndKeepsWhatIsThere) {
    fs::create_directories(directory_ / "taken" / "inside");
    try {
        replace_file(directory_ / "taken", "x");
        FAIL() << "a directory was replaced by a file";
    } catch (const StorageError& error) {
        EXPECT_THAT(error.what(), HasSubstr((directory_ / "taken").native()));
    }
    EXPECT_TRUE(fs::exists(directory_ / "taken" / "inside"));
    EXPECT_THAT(entries(), ::testing::ElementsAre("taken"));
    replace_file(directory_ / "file", "x");
    EXPECT_THROW(replace_file(directory_ / "file" / "under", "x"), StorageError);
    EXPECT_EQ(read_file(directory_ / "file"), "x");
    EXPECT_THROW(sync_file(directory_ / "absent"), StorageError);
    EXPECT_THROW(sync_directory(directory_ / "absent"), StorageError);
    EXPECT_EQ(read_file(directory_ / "taken"), std::nullopt);
}

TEST_F(DurableFile, ALockLetsOneChangeAtATimeIn) {
    const fs::path file = directory_ / "counter";
    replace_file(file, "0");
    constexpr int kThreads = 4;
    constexpr int kRounds = 25;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < kRounds; ++round) {
                const FileLock lock(file);
                replace_file(file, std::to_string(std::stoi(read_file(file).value()) + 1));
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(read_file(file), std::to_string(kThreads * kRounds));
}

}  // namespace
}  // namespace penstock
