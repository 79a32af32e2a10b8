#include "engine/job/chain_source.h"

#include <gtest/gtest.h>

#include "engine/runtime/error.h"

namespace penstock::job {
namespace {

/// Records with the offsets from `begin` to before `end`.
class Range final : public io::Source {
  public:
    Range(std::uint64_t begin, std::uint64_t end) : begin_(begin), next_(begin), end_(end) {}

    bool read(io::RecordBatch& out, std::size_t max_records, std::size_t) override {
        out.clear();
        for (std::size_t i = 0; i < max_records && next_ < end_; ++i)
            out.records.emplace_back().offset = next_++;
        return !out.records.empty();
    }
    void seek(std::string_view position) override { next_ = std::stoull(std::string(position)); }
    std::string position() const override { return std::to_string(next_); }
    io::Progress progress() const override {
        io::Progress progress;
        progress.records_read = next_ - begin_;
        progress.records_total = end_ - begin_;
        return progress;
    }

  private:
    std::uint64_t begin_;
    std::uint64_t next_;
    std::uint64_t end_;
};

std::vector<ChainPart> three_parts() {
    std::vector<ChainPart> parts(3);
    parts[0].source = std::make_unique<Range>(0, 5);
    parts[1].source = std::make_unique<Range>(100, 100);
    parts[2].open = [] { return std::make_unique<Range>(200, 204); };
    return parts;
}

/// Offsets by batch.
std::vector<std::vector<std::uint64_t>> read_all(io::Source& source) {
    std::vector<std::vector<std::uint64_t>> batches;
    io::RecordBatch batch;
    while (source.read(batch, 3, 1 << 20)) {
        auto& offsets = batches.emplace_back();
        for (const io::Record& record : batch.records)
            offsets.push_back(record.offset);
    }
    return batches;
}

using Batches = std::vector<std::vector<std::uint64_t>>;

TEST(ChainSourceTest, ReadsPartsOneAfterAnother) {
    const auto chain = make_chain(three_parts());
    EXPECT_FALSE(chain->progress().records_total.has_value()) << "the last is not open yet";
    EXPECT_EQ(read_all(*chain), (Batches{{0, 1, 2}, {3, 4}, {200, 201, 202}, {203}}));
    EXPECT_EQ(chain->progress().records_read, 9u);
    EXPECT_EQ(chain->progress().records_total, 9u);
}

TEST(ChainSourceTest, GoesOnFromAnyPosition) {
    const Batches all{{0, 1, 2}, {3, 4}, {200, 201, 202}, {203}};
    for (std::size_t done = 0; done <= all.size(); ++done) {
        const auto chain = make_chain(three_parts());
        io::RecordBatch batch;
        std::string position = chain->position();
        for (std::size_t i = 0; i < done; ++i) {
            ASSERT_TRUE(chain->read(batch, 3, 1 << 20));
            position = batch.end_position;
        }
        const auto later = make_chain(three_parts());
        later->seek(position);
        EXPECT_EQ(read_all(*later), Batches(all.begin() + static_cast<long>(done), all.end()));
        EXPECT_EQ(later->progress().records_read, 9u);
        EXPECT_EQ(later->progress().records_total, 9u);
    }
}

TEST(ChainSourceTest, LeavesOutWhatCameAfterTheBeginning) {
    std::vector<ChainPart> parts(1);
    parts[0].source = std::make_unique<Range>(0, 10);
    parts[0].last_offset = 3;
    EXPECT_EQ(read_all(*make_chain(std::move(parts))), (Batches{{0, 1, 2}, {3}}));
}

TEST(ChainSourceTest, RefusesAPositionOfOtherParts) {
    const auto chain = make_chain(three_parts());
    EXPECT_THROW(chain->seek("nonsense"), Error);
    EXPECT_THROW(chain->seek(R"({"kind":"chain","at":0,"read":0,"parts":[""]})"), Error);
}

TEST(ChainSourceTest, NothingIsASource) {
    const auto chain = make_chain({});
    EXPECT_TRUE(read_all(*chain).empty());
    EXPECT_EQ(chain->progress().records_total, 0u);
}

}  // namespace
}  // namespace penstock::job
