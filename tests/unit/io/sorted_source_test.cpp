#include "engine/io/sorted_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

class SortedSourceTest : public testing::Test {
  protected:
    SortedSourceTest() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "penstock-sorted-XXXXXX").native();
        directory_ = ::mkdtemp(pattern.data());
        store_ = IndexStore::open(directory_);
    }
    ~SortedSourceTest() override {
        store_.reset();
        std::filesystem::remove_all(directory_);
    }

    /// Documents with {"n": 0 .. 6}, many of each.
    void fill(const std::string& index, int count) {
        std::vector<std::string> ids;
        std::vector<std::string> sources;
        for (int i = 0; i < count; ++i) {
            ids.push_back(index + std::to_string(i));
            sources.push_back("{\"n\":" + std::to_string(i % 7) + "}");
        }
        std::vector<WriteItem> items(ids.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            items[i].id = ids[i];
            items[i].source = sources[i];
        }
        std::vector<ItemResult> results;
        store_->bulk(index, items, results);
    }

    static SortedOptions by_n() {
        SortedOptions options;
        options.parts = {{.index = "a"}, {.index = "b"}};
        SortKey key;
        key.kind = SortKey::Kind::field;
        key.field = "n";
        options.sort = {key};
        options.window = 100;
        return options;
    }

    /// Ids, with what they are sorted by before them.
    static std::vector<std::string> read(Source& source, std::size_t most = SIZE_MAX) {
        std::vector<std::string> ids;
        RecordBatch batch;
        while (ids.size() < most && source.read(batch, 37, SIZE_MAX)) {
            for (const Record& record : batch.records) {
                EXPECT_EQ(record.index, batch.records.front().index) << "a batch of one index";
                ids.push_back(std::string(batch.text(record)) + record.id);
            }
        }
        return ids;
    }

    std::string directory_;
    std::shared_ptr<IndexStore> store_;
};

/// Windows begin where the one before has ended, also in the middle of an index and of a slice.
TEST_F(SortedSourceTest, GoesOnInTheOrderOfTheDocuments) {
    fill("a", 450);
    fill("b", 300);
    SortedOptions options = by_n();
    options.sort = {{.kind = SortKey::Kind::document}};
    options.query = Query::parse(R"({"range":{"n":{"lt":5}}})");
    const std::vector<std::string> whole = read(*open_sorted(*store_, options).front());
    EXPECT_EQ(whole.size(), 322U + 215U);
    EXPECT_EQ(whole[5], R"({"n":0}a7)");
    EXPECT_EQ(whole[322], R"({"n":0}b0)");
    options.slices = 2;
    std::vector<std::string> sliced;
    for (auto& slice : open_sorted(*store_, options)) {
        for (std::string& id : read(*slice))
            sliced.push_back(std::move(id));
    }
    std::vector<std::string> sorted = whole;
    std::sort(sorted.begin(), sorted.end());
    std::sort(sliced.begin(), sliced.end());
    EXPECT_EQ(sliced, sorted);
    options.slices = 1;
    auto first = open_sorted(*store_, options);
    const std::vector<std::string> begun = read(*first.front(), 350);
    auto second = open_sorted(*store_, options);
    second.front()->seek(first.front()->position());
    std::vector<std::string> all = begun;
    for (std::string& id : read(*second.front()))
        all.push_back(std::move(id));
    EXPECT_EQ(all, whole);
}

TEST_F(SortedSourceTest, GivesEveryDocumentOnceInOrderOverManyWindows) {
    fill("a", 450);
    fill("b", 30);
    auto whole = open_sorted(*store_, by_n());
    ASSERT_EQ(whole.size(), 1u);
    EXPECT_EQ(whole[0]->progress().records_total, 480u);
    const std::vector<std::string> ids = read(*whole[0]);
    ASSERT_EQ(ids.size(), 480u);
    for (std::size_t i = 1; i < ids.size(); ++i)
        EXPECT_LE(ids[i - 1].substr(0, 7), ids[i].substr(0, 7));
    std::vector<std::string> sorted = ids;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());

    SortedOptions sliced = by_n();
    sliced.slices = 3;
    std::vector<std::string> together;
    for (const auto& slice : open_sorted(*store_, sliced)) {
        for (std::string& id : read(*slice))
            together.push_back(std::move(id));
    }
    std::sort(together.begin(), together.end());
    EXPECT_EQ(together, sorted);
}

TEST_F(SortedSourceTest, GoesOnFromAPosition) {
    fill("a", 300);
    fill("b", 50);
    const std::vector<std::string> all = read(*open_sorted(*store_, by_n())[0]);
    const auto first = open_sorted(*store_, by_n());
    std::vector<std::string> parts = read(*first[0], 150);
    const std::string position = first[0]->position();
    store_.reset();
    store_ = IndexStore::open(directory_);
    const auto second = open_sorted(*store_, by_n());
    second[0]->seek(position);
    EXPECT_EQ(second[0]->progress().records_read, parts.size());
    EXPECT_EQ(second[0]->progress().records_total, 350u);
    for (std::string& id : read(*second[0]))
        parts.push_back(std::move(id));
    EXPECT_EQ(parts, all);
    EXPECT_THROW(second[0]->seek("{}"), Error);
    SortedOptions one = by_n();
    one.parts.pop_back();
    EXPECT_THROW(open_sorted(*store_, one)[0]->seek(position), Error);
}

TEST_F(SortedSourceTest, LeavesOutWhatCameLater) {
    fill("a", 20);
    fill("b", 5);
    SortedOptions options = by_n();
    options.parts[0].last_seq_no = 9;
    EXPECT_EQ(read(*open_sorted(*store_, options)[0]).size(), 15u);
}

}  // namespace
}  // namespace penstock::io
