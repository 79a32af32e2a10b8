#include "engine/job/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>

#include "engine/runtime/error.h"

namespace penstock::job {
namespace {

std::filesystem::path scratch(const char* name) {
    return std::filesystem::path(testing::TempDir()) / (std::string("penstock_checkpoint_") + name);
}

TEST(Checkpoint, ComesBackAsItWasSaved) {
    CheckpointFile file(scratch("roundtrip.json"));
    file.remove();
    EXPECT_FALSE(file.load().has_value());
    Checkpoint checkpoint;
    checkpoint.job = "fingerprint";
    checkpoint.description = "a \"b\"\n";
    checkpoint.slices = {{R"({"offset":12})", 3, 5, false}, {"", 0, 0, true}};
    checkpoint.sink = R"({"length":99})";
    checkpoint.totals.created = 3;
    checkpoint.totals.source_incomplete = true;
    file.save(checkpoint);
    auto loaded = file.load();
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->job, "fingerprint");
    EXPECT_EQ(loaded->description, "a \"b\"\n");
    ASSERT_EQ(loaded->slices.size(), 2u);
    EXPECT_EQ(loaded->slices[0].position, R"({"offset":12})");
    EXPECT_EQ(loaded->slices[0].started, 5u);
    EXPECT_TRUE(loaded->slices[1].finished);
    EXPECT_EQ(loaded->sink, R"({"length":99})");
    EXPECT_EQ(loaded->totals.created, 3u);
    EXPECT_TRUE(loaded->totals.source_incomplete);
    file.remove();
    EXPECT_FALSE(file.load().has_value());
}

TEST(Checkpoint, RefusesWhatIsNone) {
    CheckpointFile file(scratch("broken.json"));
    for (const char* text : {"", "{}", "[]", "{\"version\":2}", "\xff"}) {
        std::ofstream(file.path(), std::ios::trunc) << text;
        try {
            file.load();
            FAIL() << text;
        } catch (const Error& error) {
            EXPECT_NE(std::string(error.what()).find("is not a checkpoint that can be used"),
                      std::string::npos);
        }
    }
    file.remove();
}

TEST(Checkpoint, SaysWhenItCannotBeWritten) {
    CheckpointFile file("/nonexistent/folder/checkpoint.json");
    EXPECT_THROW(file.save({}), Error);
}

}  // namespace
}  // namespace penstock::job
