#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "engine/io/index.h"
#include "scratch.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SearchTest : public Scratch {
  protected:
    SearchTest() { open({}); }

    void open(IndexStoreOptions options) {
        options.survive_power_loss = false;
        store = IndexStore::open(dir_, options);
    }
    void put(const std::vector<std::pair<std::string, std::string>>& documents) {
        std::vector<WriteItem> items(documents.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            items[i].id = documents[i].first;
            items[i].source = documents[i].second;
        }
        std::vector<ItemResult> results;
        store->bulk("x", items, results);
        for (const ItemResult& result : results)
            EXPECT_TRUE(result.ok()) << result.error_reason;
    }
    void remove(const std::vector<std::string>& gone) {
        std::vector<WriteItem> items(gone.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            items[i].op = WriteOp::remove;
            items[i].id = gone[i];
        }
        std::vector<ItemResult> results;
        store->bulk("x", items, results);
    }
    static std::vector<std::string> range(int from, int to) {
        std::vector<std::string> names;
        for (int i = from; i < to; ++i)
            names.push_back(std::to_string(i));
        return names;
    }
    std::vector<Hit> search(const SearchRequest& request) { return store->search("x", request); }
    std::vector<std::string> words(const std::string& text, bool all = false,
                                   std::vector<std::string> fields = {}) {
        SearchRequest request;
        request.text = TextQuery{text, std::move(fields), all};
        return ids(search(request));
    }
    static std::vector<std::string> ids(const std::vector<Hit>& hits) {
        std::vector<std::string> all;
        for (const Hit& hit : hits)
            all.push_back(hit.document.id);
        return all;
    }
    static SearchRequest near(std::vector<float> vector, std::size_t size = 10) {
        SearchRequest request;
        request.vector = VectorQuery{"", std::move(vector), 100, false};
        request.size = size;
        return request;
    }

    std::shared_ptr<IndexStore> store;
};

std::string json(const std::vector<float>& values) {
    std::string text = "[";
    for (const float value : values)
        text += (text.size() > 1 ? "," : "") + std::to_string(value);
    return text + "]";
}

TEST_F(SearchTest, FindsWordsByFieldAndPassage) {
    put({{"1", R"({"title":"The Sea","body":"Waves and wind, Größe und Café"})"},
         {"2", R"({"title":"Hills","body":"The sea is far; wind, wind, wind"})"},
         {"3",
          R"({"chunks":[{"text":"nothing"},{"text":"deep water and a whale"}],"tags":["blue","cold sea"]})"}});
    EXPECT_THAT(words("whale"), ElementsAre("3"));
    EXPECT_THAT(words("cafe GROSSE größe"), ElementsAre("1"));
    EXPECT_THAT(words("sea", false, {"title"}), ElementsAre("1"));
    EXPECT_THAT(words("sea", false, {"body"}), ElementsAre("2"));
    EXPECT_THAT(words("sea", false, {"title", "tags"}), testing::UnorderedElementsAre("1", "3"));
    EXPECT_THAT(words("wind waves", true), ElementsAre("1"));
    EXPECT_EQ(words("wind waves").size(), 2U);
    EXPECT_THAT(words("\"wind* OR ( NEAR -x: ^ \\ '"), testing::UnorderedElementsAre("1", "2"));
    EXPECT_TRUE(words("").empty());
    EXPECT_TRUE(words("?! — …").empty());
    EXPECT_THAT(error_of([&] { words("sea", false, {"none"}); }),
                HasSubstr("no text field [none]"));
    SearchRequest request;
    request.text = TextQuery{"whale", {}, false};
    const Hit hit = search(request).at(0);
    EXPECT_EQ(hit.passage.field, "chunks.text");
    EXPECT_EQ(hit.passage.pointer, "/chunks/1");
    EXPECT_EQ(hit.passage.index, 1);
    EXPECT_EQ(hit.passage.text, "deep water and a whale");
    EXPECT_EQ(hit.passage.object, R"({"text":"deep water and a whale"})");
    EXPECT_GT(hit.score, 0);
    EXPECT_EQ(hit.text_rank, 1U);
}

/// The scores are BM25 with k1 = 1.2 and b = 0.75, and the idf of the classic formula.
TEST_F(SearchTest, ScoresByBm25) {
    put({{"1", R"({"t":"red fox"})"},
         {"2", R"({"t":"red red dog runs"})"},
         {"3", R"({"t":"blue cat"})"},
         {"4", R"({"t":"green cat"})"},
         {"5", R"({"t":"white cat"})"}});
    SearchRequest request;
    request.text = TextQuery{"red", {}, false};
    const auto hits = search(request);
    const double idf = std::log((5 - 2 + 0.5) / (2 + 0.5));
    const double average = 12.0 / 5;
    const auto score = [&](double tf, double length) {
        return idf * tf * 2.2 / (tf + 1.2 * (1 - 0.75 + 0.75 * length / average));
    };
    ASSERT_EQ(hits.size(), 2U);
    EXPECT_NEAR(hits[0].score, std::max(score(1, 2), score(2, 4)), 1e-9);
    EXPECT_NEAR(hits[1].score, std::min(score(1, 2), score(2, 4)), 1e-9);
}

TEST_F(SearchTest, FollowsUpdatesAndDeletions) {
    store->create("x", {{{"v", 2, Similarity::cosine}}, "standard"});
    put({{"1", R"({"t":"old","v":[1,0]})"}, {"2", R"({"t":"other","v":[0,1]})"}});
    EXPECT_THAT(words("old"), ElementsAre("1"));
    EXPECT_THAT(ids(search(near({1, 0.1F}))), ElementsAre("1", "2"));
    put({{"1", R"({"t":"new","v":[-1,0]})"}});
    EXPECT_TRUE(words("old").empty());
    EXPECT_THAT(words("new"), ElementsAre("1"));
    EXPECT_THAT(ids(search(near({1, 0.1F}))), ElementsAre("2", "1"));
    remove({"2"});
    EXPECT_TRUE(words("other").empty());
    EXPECT_THAT(ids(search(near({1, 0.1F}))), ElementsAre("1"));
    store->optimize("x");
    EXPECT_THAT(words("new"), ElementsAre("1"));
    open({});
    EXPECT_THAT(ids(search(near({1, 0.1F}))), ElementsAre("1"));
}

TEST_F(SearchTest, StemsWhenAsked) {
    store->create("x", {{}, "english"});
    put({{"1", R"({"t":"running horses"})"}});
    EXPECT_THAT(words("horse runs"), ElementsAre("1"));
}

TEST_F(SearchTest, FindsTheBestChunkOfEachDocument) {
    store->create("x", {{{"chunks.v", 2, Similarity::cosine}}, "standard"});
    put({{"1",
          R"({"chunks":[{"text":"east","v":[1,0]},{"text":"none"},{"text":"nearly east","v":[0.9,0.1]}]})"},
         {"2",
          R"({"chunks":[{"text":"north","v":[0,1]},{"note":"b","content":"north-east","v":[1,1]}]})"}});
    const auto hits = search(near({1, 0.08F}));
    ASSERT_EQ(hits.size(), 2U);
    EXPECT_EQ(hits[0].document.id, "1");
    EXPECT_EQ(hits[0].passage.index, 2);
    EXPECT_EQ(hits[0].passage.text, "nearly east");
    EXPECT_EQ(hits[0].passage.object, R"({"text":"nearly east"})");
    EXPECT_EQ(hits[1].passage.index, 1);
    EXPECT_EQ(hits[1].passage.text, "north-east");
    EXPECT_EQ(hits[0].document.source,
              R"({"chunks":[{"text":"east"},{"text":"none"},{"text":"nearly east"}]})");
    SearchRequest whole = near({1, 0});
    whole.vectors_in_source = true;
    EXPECT_THAT(search(whole)[0].document.source, HasSubstr("\"v\":[0.9,0.1]"));
    EXPECT_THAT(error_of([&] {
                    search(near({1, 2, 3}));
                }),
                HasSubstr("3 dimensions, but the field [chunks.v]"));
    EXPECT_THAT(error_of([&] { search(near({0, 0})); }), HasSubstr("zero"));
    EXPECT_THAT(error_of([&] { search(near({NAN, 0})); }), HasSubstr("not finite"));
    whole.vector->field = "w";
    EXPECT_THAT(error_of([&] { search(whole); }), HasSubstr("it has: chunks.v"));
}

struct Measure {
    const char* name;
    Similarity similarity;
};

/// Against a plain loop, for all similarities, with many chunks in few documents, through updates,
/// and in a graph.
TEST_F(SearchTest, NearestNeighboursAreExact) {
    constexpr std::size_t kDims = 24;
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    const auto vector = [&](bool unit) {
        std::vector<float> values(kDims);
        double square = 0;
        for (float& x : values) {
            x = normal(random);
            square += static_cast<double>(x) * x;
        }
        for (float& x : values)
            x = unit ? static_cast<float>(x / std::sqrt(square)) : x;
        return values;
    };
    for (const Measure& measure :
         {Measure{"cos", Similarity::cosine}, Measure{"dot", Similarity::dot_product},
          Measure{"l2", Similarity::l2_norm}, Measure{"mip", Similarity::max_inner_product}}) {
        store->remove("x");
        store->create("x", {{{"c.v", kDims, measure.similarity}}, "standard"});
        std::map<std::string, std::vector<std::vector<float>>> all;
        for (int round = 0; round < 3; ++round) {
            std::vector<std::pair<std::string, std::string>> documents;
            for (int i = 0; i < 40; ++i) {
                const std::string id = std::to_string(random() % 60);
                auto& chunks = all[id];
                chunks.clear();
                std::string source = "{\"c\":[";
                for (std::size_t n = random() % 12 + 1; n > 0; --n) {
                    chunks.push_back(vector(true));
                    source +=
                        (source.back() == '[' ? "{\"v\":" : ",{\"v\":") + json(chunks.back()) + "}";
                    // As the text says it, not as it was before printing.
                    for (float& x : chunks.back())
                        x = std::stof(std::to_string(x));
                }
                documents.emplace_back(id, source + "]}");
            }
            put(documents);
            for (int q = 0; q < 5; ++q) {
                const auto query = vector(true);
                std::vector<std::pair<double, std::string>> expected;
                for (const auto& [id, chunks] : all) {
                    double best = -1e9;
                    for (const auto& chunk : chunks) {
                        double dot = 0;
                        double norm = 0;
                        double distance = 0;
                        for (std::size_t i = 0; i < kDims; ++i) {
                            dot += static_cast<double>(chunk[i]) * query[i];
                            norm += static_cast<double>(chunk[i]) * chunk[i];
                            distance += std::pow(static_cast<double>(chunk[i]) - query[i], 2);
                        }
                        const double cosine = dot / std::sqrt(norm);
                        switch (measure.similarity) {
                            case Similarity::cosine:
                                best = std::max(best, (1 + cosine) / 2);
                                break;
                            case Similarity::dot_product:
                                best = std::max(best, (1 + dot) / 2);
                                break;
                            case Similarity::l2_norm:
                                best = std::max(best, 1 / (1 + distance));
                                break;
                            case Similarity::max_inner_product:
                                best = std::max(best, dot < 0 ? 1 / (1 - dot) : dot + 1);
                        }
                    }
                    expected.emplace_back(best, id);
                }
                std::sort(expected.rbegin(), expected.rend());
                const auto hits = search(near(query, 30));
                ASSERT_EQ(hits.size(), std::min<std::size_t>(30, expected.size()));
                for (std::size_t i = 0; i < hits.size(); ++i) {
                    EXPECT_NEAR(hits[i].score, expected[i].first, 1e-5) << measure.name << " " << i;
                }
            }
        }
    }
}

TEST_F(SearchTest, FusesByReciprocalRanks) {
    store->create("x", {{{"v", 2, Similarity::cosine}}, "standard"});
    // Words rank 1, 2, 3 (by length); vectors rank 3, 1, 4.
    put({{"1", R"({"t":"sun","v":[-1,0.2]})"},
         {"2", R"({"t":"sun a","v":[0.1,1]})"},
         {"3", R"({"t":"sun a b c","v":[1,0]})"},
         {"4", R"({"t":"moon","v":[0,1]})"}});
    SearchRequest request = near({1, 0.1F});
    request.text = TextQuery{"sun", {}, false};
    const auto hits = search(request);
    ASSERT_EQ(hits.size(), 4U);
    std::map<std::string, double> scores;
    for (const Hit& hit : hits)
        scores[hit.document.id] = hit.score;
    // By vector: 3 (0.995), 2, 4, 1. By words: 1, 2, 3.
    EXPECT_NEAR(scores["1"], 1.0 / 61 + 1.0 / 64, 1e-12);
    EXPECT_NEAR(scores["2"], 1.0 / 62 + 1.0 / 62, 1e-12);
    EXPECT_NEAR(scores["3"], 1.0 / 63 + 1.0 / 61, 1e-12);
    EXPECT_NEAR(scores["4"], 1.0 / 63, 1e-12);
    EXPECT_THAT(ids(hits), ElementsAre("3", "2", "1", "4"));
    EXPECT_EQ(hits[0].text_rank, 3U);
    EXPECT_EQ(hits[0].vector_rank, 1U);
    EXPECT_EQ(hits[3].text_rank, 0U);
    request.rank_constant = 1;
    request.size = 1;
    request.from = 1;
    EXPECT_EQ(search(request).size(), 1U);
    request.from = 9;
    EXPECT_TRUE(search(request).empty());
}

/// The graph: recall against the exact answer, persistence, vectors beside it, deletions, damage.
TEST_F(SearchTest, TheGraphFindsWhatTheExactSearchFinds) {
    constexpr std::size_t kDims = 32;
    constexpr int kDocuments = 4000;
    open({.exact_limit = 1000});
    store->create("x", {{{"v", kDims, Similarity::cosine}}, "standard"});
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> centres(50, std::vector<float>(kDims));
    for (auto& centre : centres) {
        for (float& x : centre)
            x = normal(random);
    }
    const auto vector = [&] {
        std::vector<float> values = centres[random() % centres.size()];
        for (float& x : values)
            x += 0.6F * normal(random);
        return values;
    };
    std::vector<std::pair<std::string, std::string>> documents;
    for (int i = 0; i < kDocuments; ++i)
        documents.emplace_back(std::to_string(i), "{\"v\":" + json(vector()) + "}");
    put(documents);
    const auto recall = [&] {
        double found = 0;
        constexpr int kQueries = 50;
        for (int q = 0; q < kQueries; ++q) {
            SearchRequest request = near(vector());
            const auto quick = ids(search(request));
            request.vector->exact = true;
            const auto exact = ids(search(request));
            EXPECT_EQ(exact.size(), 10U);
            const std::set<std::string> set(quick.begin(), quick.end());
            for (const std::string& id : exact)
                found += set.contains(id) ? 1 : 0;
        }
        return found / (10 * kQueries);
    };
    EXPECT_EQ(recall(), 1.0);  // no graph yet
    EXPECT_EQ(store->info("x").vector_fields[0].in_graph, 0U);
    store->optimize("x");
    EXPECT_EQ(store->info("x").vector_fields[0].in_graph, static_cast<std::uint64_t>(kDocuments));
    const double built = recall();
    RecordProperty("recall", std::to_string(built));
    EXPECT_GE(built, 0.95);

    const std::vector<float> special(kDims, 3.0F);
    put({{"new", "{\"v\":" + json(special) + "}"}, {"7", "{\"v\":" + json(special) + "}"}});
    remove(range(100, 200));
    const auto check = [&] {
        SearchRequest request = near(special, 2);
        EXPECT_THAT(ids(search(request)), testing::UnorderedElementsAre("new", "7"));
        for (int q = 0; q < 20; ++q) {
            for (const std::string& id : ids(search(near(vector())))) {
                EXPECT_TRUE(id == "new" || std::stoi(id) < 100 || std::stoi(id) >= 200);
            }
        }
        EXPECT_GE(recall(), 0.95);
    };
    check();
    open({.exact_limit = 1000});  // from the files
    check();
    store->optimize("x");
    EXPECT_EQ(store->info("x").vector_fields[0].in_graph,
              static_cast<std::uint64_t>(kDocuments) - 99);
    check();
    const std::string graph = path("indices/x/vectors-1.hnsw");
    std::string bytes = read_file(graph);
    ASSERT_GT(bytes.size(), 1000U);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write("indices/x/vectors-1.hnsw", bytes);
    open({.exact_limit = 1000});
    EXPECT_EQ(recall(), 1.0);  // the damaged graph is not used
    store->optimize("x");
    check();
    // When most are gone the graph is made anew.
    remove(range(0, 3000));
    store->optimize("x");
    EXPECT_GE(recall(), 0.95);
}

}  // namespace
}  // namespace penstock::io
