// Random pipelines: which steps wait, and how documents are cut into batches, must not change what
// becomes of them.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/pipeline/trial.h"

namespace penstock::pipeline::test {
namespace {

/// Pipelines as JSON, which any of the trial processors and all common options appear in. Calls by
/// constant names go to later pipelines only, so that there are no cycles; those by templates go
/// anywhere.
class Generator {
  public:
    explicit Generator(std::uint32_t seed) : random_(seed) {}

    std::string pipelines() {
        std::string text;
        for (at_ = 0; at_ < count; ++at_) {
            text += "--- p" + std::to_string(at_) + "\n{\"processors\":" + list(3, 1 + pick(4));
            if (pick(3) == 0) text += ",\"on_failure\":" + list(2, 1 + pick(2));
            text += "}\n";
        }
        return text;
    }

    std::string document() {
        std::string text = "{\"keep\":" + std::to_string(pick(9));
        if (pick(2)) text += R"(,"x":1)";
        if (pick(3) == 0) text += R"(,"y":"2")";
        if (pick(4))
            text += ",\"to\":\"" +
                    std::string(pick(6) ? "p" + std::to_string(pick(count)) : "nowhere") + '"';
        if (pick(5)) text += ",\"l\":" + elements(2);
        if (pick(5)) text += ",\"o\":{\"a\":" + element(2) + ",\"b\":" + element(2) + '}';
        return text + '}';
    }

  private:
    static constexpr std::size_t count = 4;

    std::size_t pick(std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
    }

    std::string elements(int depth) {
        std::string text = "[";
        for (std::size_t i = pick(4); i > 0; --i)
            text += (text.size() > 1 ? "," : "") + element(depth - 1);
        return text + ']';
    }
    std::string element(int depth) {
        switch (pick(4)) {
            case 0:
                return R"({"x":1})";
            case 1:
                return depth > 0 ? "{\"l\":" + elements(depth) + '}' : "{}";
            case 2:
                return std::to_string(pick(10));
            default:
                return R"("e")";
        }
    }

    std::string list(int depth, std::size_t size) {
        std::string text = "[";
        for (std::size_t i = 0; i < size; ++i)
            text += (i > 0 ? "," : "") + step(depth);
        return text + ']';
    }

    std::string step(int depth) {
        std::string options;
        std::string type = body(depth, options);
        auto add = [&](const std::string& option) {
            options += (options.empty() ? "" : ",") + option;
        };
        if (pick(2)) add("\"tag\":\"t" + std::to_string(tag_++) + '"');
        if (pick(5) == 0) add("\"ignore_failure\":true");
        if (depth > 0 && pick(3) == 0) add("\"on_failure\":" + list(depth - 1, 1 + pick(2)));
        return "{\"" + type + "\":{" + options + "}}";
    }

    std::string body(int depth, std::string& options) {
        static const char* const fields[] = {"x",   "y", "_ingest._value.x", "_ingest._value",
                                             "log", "l"};
        std::string field = fields[pick(std::size(fields))];
        std::size_t kind = pick(depth > 0 ? 15 : 10);
        switch (kind) {
            case 0:
            case 1:
                options = "\"text\":\"" + std::to_string(text_++) +
                          " {{_ingest.pipeline}} {{_ingest._key}} {{_ingest._value}} "
                          "{{_ingest.on_failure_message}} "
                          "{{_ingest.on_failure_processor_tag}} {{_ingest.on_failure_pipeline}}\"";
                return "note";
            case 2:
                options =
                    "\"field\":\"" + field + "\",\"value\":\"{{x}}" + std::to_string(text_++) + '"';
                return "put";
            case 3:
                options = R"("field":"_ingest._key","value":"{{_ingest._key}}{{y}}")";
                return "put";
            case 4:
                options = "\"field\":\"" + field + '"';
                return "take";
            case 5:
            case 6:
                options = "\"field\":\"" + field + '"';
                return "fail_if";
            case 7:
                options = "\"field\":\"_ingest._value.l\"";
                return pick(2) ? "drop_if" : "fail_if";
            case 8:
                return pick(2) ? "half" : "half_kept";
            case 9:
                options = R"("from":"y","to":"z")";
                return "move";
            case 10:
            case 11: {
                static const char* const lists[] = {"l", "o", "_ingest._value.l", "log"};
                options = "\"field\":\"" + std::string(lists[pick(4)]) +
                          "\",\"ignore_missing\":" + (pick(2) ? "true" : "false") +
                          ",\"processor\":" + step(depth - 1);
                return "foreach";
            }
            case 12:
                options = R"("name":"{{to}}","ignore_missing_pipeline":)" +
                          std::string(pick(2) ? "true" : "false");
                return "pipeline";
            default:
                if (at_ + 1 >= count) return "drop";
                options = "\"name\":\"p" + std::to_string(at_ + 1 + pick(count - at_ - 1)) + '"';
                return "pipeline";
        }
    }

    std::mt19937 random_;
    std::size_t at_ = 0;
    int tag_ = 0;
    int text_ = 0;
};

TEST(RandomPipelines, MeanTheSameHoweverTheyWait) {
    const std::vector<std::set<std::string>> ways = {
        {"*"}, {"note"}, {"fail_if"}, {"put", "half"}, {"take", "drop_if", "move"}, {"half_kept"}};
    std::size_t done = 0, dropped = 0, failed = 0;
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
        Generator generator(seed);
        std::string pipelines = generator.pipelines();
        std::vector<std::string> sources;
        for (int i = 0; i < 12; ++i)
            sources.push_back(generator.document());

        auto plain = compile(pipelines, trial_catalog());
        ASSERT_NE(plain, nullptr) << "seed " << seed;
        ASSERT_FALSE(plain->find("p0")->waits);
        std::vector<std::string> expected = run_sync(plain, "p0", sources);
        std::string counted = statistics(*plain);
        ASSERT_EQ(expected.size(), sources.size());
        for (const std::string& one : expected) {
            ++(one == "dropped" ? dropped : one.starts_with("failed") ? failed : done);
        }
        for (const auto& waiting : ways) {
            auto set = compile(pipelines, trial_catalog({waiting, nullptr}));
            ASSERT_EQ(run(set, "p0", sources), expected) << "seed " << seed << '\n' << pipelines;
            ASSERT_EQ(statistics(*set), counted) << "seed " << seed << '\n' << pipelines;
        }
        // One after another.
        std::vector<std::string> alone;
        for (const std::string& source : sources)
            alone.push_back(run_sync(plain, "p0", {source}).at(0));
        ASSERT_EQ(alone, expected) << "seed " << seed << '\n' << pipelines;
    }
    // The pipelines are of use only when all of it happens often.
    EXPECT_GT(done, 500u);
    EXPECT_GT(dropped, 100u);
    EXPECT_GT(failed, 500u);
}

}  // namespace
}  // namespace penstock::pipeline::test
