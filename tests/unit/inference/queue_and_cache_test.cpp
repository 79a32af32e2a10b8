#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/inference/request_queue.h"
#include "engine/inference/result_cache.h"
#include "engine/inference/statistics.h"

namespace penstock::inference {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

Content content(std::size_t tokens, std::int32_t value = 0) {
    return {value == 0 ? tokens : 1,
            std::make_shared<const std::vector<std::int32_t>>(tokens, value)};
}

std::shared_ptr<Sequence> sequence(std::size_t tokens,
                                   RequestPriority priority = RequestPriority::normal,
                                   Clock::time_point queued_at = Clock::time_point()) {
    auto made = std::make_shared<Sequence>();
    made->content = content(tokens);
    made->priority = priority;
    made->queued_at = queued_at;
    return made;
}

std::vector<std::size_t> take(RequestQueue& queue, std::size_t budget,
                              Clock::time_point now = Clock::time_point()) {
    std::vector<std::shared_ptr<Sequence>> batch;
    queue.take(budget, now, batch);
    std::vector<std::size_t> lengths;
    for (const auto& each : batch)
        lengths.push_back(each->content.tokens());
    return lengths;
}

TEST(RequestQueue, TakesTheOldestAndTheNearestLengths) {
    RequestQueue queue(milliseconds(500));
    for (const std::size_t tokens : {100, 5, 104, 400, 98, 6, 110})
        queue.push(sequence(tokens));
    EXPECT_EQ(queue.tokens(), 823U);
    EXPECT_EQ(take(queue, 320), (std::vector<std::size_t>{100, 98, 104}));
    EXPECT_EQ(take(queue, 320), (std::vector<std::size_t>{5, 6}));
    EXPECT_EQ(take(queue, 320), (std::vector<std::size_t>{400})) << "a longer one runs alone";
    EXPECT_EQ(take(queue, 320), (std::vector<std::size_t>{110}));
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.tokens(), 0U);
}

TEST(RequestQueue, NeverPassesTheBudgetAndPadsLittle) {
    RequestQueue queue(milliseconds(500));
    std::uint32_t random = 12345;
    for (int i = 0; i < 5000; ++i) {
        random = random * 1664525U + 1013904223U;
        queue.push(sequence(8 + (random >> 16) % 505));
    }
    std::size_t padded = 0;
    std::size_t real = 0;
    std::size_t taken = 0;
    while (!queue.empty()) {
        const auto lengths = take(queue, 2048);
        const std::size_t sum = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
        EXPECT_LE(sum, 2048U);
        padded += lengths.size() * *std::max_element(lengths.begin(), lengths.end());
        real += sum;
        taken += lengths.size();
    }
    EXPECT_EQ(taken, 5000U);
    EXPECT_LE(static_cast<double>(padded) / static_cast<double>(real), 1.15);
}

TEST(RequestQueue, AnOddLengthIsNotStarvedByAStreamOfOthers) {
    RequestQueue queue(milliseconds(500));
    queue.push(sequence(50));
    queue.push(sequence(300));  // never near the others
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < 10; ++i)
            queue.push(sequence(50));
        if (take(queue, 200).front() == 300) {
            EXPECT_LE(round, 1);
            return;
        }
    }
    FAIL() << "starved";
}

TEST(RequestQueue, HighGoesFirstUntilNormalIsTooOld) {
    RequestQueue queue(milliseconds(500));
    const Clock::time_point start;
    queue.push(sequence(10, RequestPriority::normal, start));
    for (int i = 0; i < 8; ++i)
        queue.push(sequence(20, RequestPriority::high, start));
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(take(queue, 20, start), std::vector<std::size_t>{20}) << "young: high only";
    }
    EXPECT_EQ(take(queue, 20, start + seconds(1)), std::vector<std::size_t>{10}) << "old: due";
    EXPECT_EQ(take(queue, 20, start + seconds(1)), std::vector<std::size_t>{20});
}

TEST(RequestQueue, ErasesAndRaises) {
    RequestQueue queue(milliseconds(500));
    const auto first = sequence(10);
    const auto second = sequence(40);
    queue.push(first);
    queue.push(second);
    queue.raise(*second);
    EXPECT_EQ(take(queue, 10), std::vector<std::size_t>{40});
    EXPECT_FALSE(second->queued);
    queue.erase(*first);
    EXPECT_TRUE(queue.empty());
    EXPECT_TRUE(take(queue, 10).empty());
}

std::shared_ptr<const TaskOutput> output(std::size_t width, float value = 1) {
    return std::make_shared<const TaskOutput>(TextEmbedding{std::vector<float>(width, value)});
}

TEST(ResultCache, DropsTheLeastRecentlyUsedByBytes) {
    ResultCache cache(10'000);
    for (const std::int32_t i : {1, 2, 3})
        cache.insert(content(10, i), output(900));
    ASSERT_EQ(cache.size(), 2U) << "each is near 4 kB with its overhead";
    EXPECT_EQ(cache.find(content(10, 1)), nullptr);
    ASSERT_NE(cache.find(content(10, 2)), nullptr);  // now more recent than 3
    cache.insert(content(10, 4), output(900));
    EXPECT_NE(cache.find(content(10, 2)), nullptr);
    EXPECT_EQ(cache.find(content(10, 3)), nullptr);
    EXPECT_LE(cache.bytes(), cache.byte_limit());
    cache.insert(content(10, 5), output(5000));
    EXPECT_EQ(cache.find(content(10, 5)), nullptr) << "larger than the whole cache";
    EXPECT_EQ(cache.size(), 2U) << "and it drove nothing out";
    cache.clear();
    EXPECT_EQ(cache.bytes(), 0U);
}

TEST(ResultCache, EqualHashesOfOtherIdsAreOtherContents) {
    ResultCache cache(1 << 20);
    cache.insert(content(3, 7), output(1, 7));
    EXPECT_EQ(content(3, 7).hash, content(3, 8).hash);
    EXPECT_EQ(cache.find(content(3, 8)), nullptr);
    EXPECT_NE(cache.find(content(3, 7)), nullptr);
}

TEST(ResultCache, ZeroBytesIsOff) {
    ResultCache cache(0);
    cache.insert(content(1), output(1));
    EXPECT_EQ(cache.find(content(1)), nullptr);
}

TEST(MinuteWindow, SumsTheLastMinuteAndKeepsThePeak) {
    const Clock::time_point start;
    MinuteWindow window(start);
    window.add(start + seconds(1), {.count = 10, .cache_hits = 2, .nanoseconds = 5});
    window.add(start + seconds(59), {.count = 5, .cache_hits = 0, .nanoseconds = 5});
    EXPECT_EQ(window.last_minute(start + seconds(60)).count, 15);
    EXPECT_EQ(window.last_minute(start + seconds(61)).count, 5);
    EXPECT_EQ(window.last_minute(start + seconds(61)).cache_hits, 0);
    EXPECT_EQ(window.peak_count(), 15);
    EXPECT_EQ(window.last_minute(start + seconds(3600)).count, 0);
    EXPECT_EQ(window.peak_count(), 15);
}

TEST(MinuteWindow, GivesTheRecentRate) {
    const Clock::time_point start;
    MinuteWindow window(start);
    EXPECT_EQ(window.recent_rate(start), 0);
    for (int s = 0; s < 30; ++s)
        window.add(start + seconds(s), {.count = s < 15 ? 1000 : 40});
    EXPECT_NEAR(window.recent_rate(start + milliseconds(29'990)), 40, 2);
}

}  // namespace
}  // namespace penstock::inference
