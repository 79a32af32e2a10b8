#include "engine/plugin/backend_adapter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <thread>

#include "engine/plugin/log.h"
#include "engine/runtime/error.h"

namespace penstock::plugin {
namespace {

using inference::BatchResult;
using inference::PackedBatch;

PackedBatch batch_of(const std::vector<std::vector<std::int32_t>>& sequences) {
    PackedBatch batch;
    for (const auto& ids : sequences) {
        batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
        batch.offsets.push_back(static_cast<std::int64_t>(batch.ids.size()));
    }
    return batch;
}

std::vector<float> sequence(const BatchResult& result, std::size_t i) {
    const float* begin = result.data + result.offsets[i];
    return {begin, begin + result.rows[i] * result.width};
}

std::string refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

// ---- the fake backend, from its library

class FakeBackend : public ::testing::Test {
  protected:
    FakeBackend() : plugins({std::string(PENSTOCK_BINARY_DIR) + "/tests/plugins"}) {
        backend = open_backend(plugins, "fake");
    }
    PluginSet plugins;
    std::unique_ptr<inference::Backend> backend;
};

TEST_F(FakeBackend, describes_its_model) {
    EXPECT_EQ(backend->name(), "fake");
    const auto info =
        backend->open("any", R"({"width": 3, "max_tokens": 7, "weight_bytes": 99})")->info();
    EXPECT_EQ(info.output_width, 3);
    EXPECT_EQ(info.max_tokens, 7);
    EXPECT_EQ(info.weight_bytes, 99u);
}

TEST_F(FakeBackend, embeds_each_sequence_by_itself) {
    const auto model = backend->open("any", R"({"width": 16})");
    const auto session = model->open_session(1);
    const auto together = batch_of({{1, 2, 3}, {4}, {1, 2, 3, 9}});
    const BatchResult all = session->run(together);
    ASSERT_EQ(all.rows.size(), 3u);
    EXPECT_EQ(all.width, 16);
    std::vector<std::vector<float>> rows;
    for (std::size_t i = 0; i < 3; ++i)
        rows.push_back(sequence(all, i));
    EXPECT_NE(rows[0], rows[1]);
    double square = 0;
    for (float x : rows[0])
        square += static_cast<double>(x) * x;
    EXPECT_NEAR(square, 1.0, 1e-6);
    EXPECT_EQ(sequence(session->run(batch_of({{1, 2, 3}})), 0), rows[0]);
    EXPECT_EQ(sequence(model->open_session(4)->run(batch_of({{7, 7}, {4}})), 1), rows[1]);

    auto typed = batch_of({{1, 2, 3}});
    typed.type_ids = {0, 0, 1};
    EXPECT_NE(sequence(session->run(typed), 0), rows[0]);
}

TEST_F(FakeBackend, gives_rows_per_token_when_asked) {
    const auto session =
        backend->open("any", R"({"width": 2, "per_token": true})")->open_session(1);
    const auto batch = batch_of({{5, 6}, {7}});
    const BatchResult result = session->run(batch);
    EXPECT_EQ(result.rows[0], 2);
    EXPECT_EQ(result.rows[1], 1);
    EXPECT_EQ(result.offsets[1], 4);
}

TEST_F(FakeBackend, takes_its_time_when_asked) {
    const auto session = backend->open("any", R"({"sleep_us_per_token": 5000})")->open_session(1);
    const auto start = std::chrono::steady_clock::now();
    session->run(batch_of({{1, 2}, {3, 4}}));
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST_F(FakeBackend, failures_carry_the_plugins_reason) {
    EXPECT_EQ(refusal([&] { backend->open("any", R"({"fail_open": "no such weights"})"); }),
              "backend [fake]: no such weights");
    const auto model = backend->open("any", R"({"fail_on_id": 13, "max_tokens": 3})");
    EXPECT_EQ(refusal([&] { model->open_session(0); }),
              "backend [fake]: threads must be 1 or more");
    const auto session = model->open_session(1);
    EXPECT_EQ(refusal([&] {
                  session->run(batch_of({{1}, {12, 13}}));
              }),
              "backend [fake]: token 13 fails");
    EXPECT_EQ(refusal([&] {
                  session->run(batch_of({{1, 2, 3, 4}}));
              }),
              "backend [fake]: a sequence of 4 tokens, of 1 to 3");
    EXPECT_EQ(session->run(batch_of({{1}})).rows.size(), 1u);  // still usable
}

TEST_F(FakeBackend, sessions_keep_the_model_and_run_at_the_same_time) {
    auto model = backend->open("any", "{}");
    const auto batch = batch_of({{1, 2, 3}, {4, 5}});
    const auto expected = sequence(model->open_session(1)->run(batch), 1);
    std::vector<std::unique_ptr<inference::Session>> sessions;
    for (int i = 0; i < 4; ++i)
        sessions.push_back(model->open_session(1));
    model.reset();
    backend.reset();
    std::vector<std::thread> threads;
    std::vector<int> wrong(sessions.size());
    for (std::size_t i = 0; i < sessions.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 200; ++round) {
                if (sequence(sessions[i]->run(batch), 1) != expected) ++wrong[i];
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong, std::vector<int>(sessions.size()));
}

TEST_F(FakeBackend, a_batch_that_breaks_its_own_rules_is_a_bug) {
    const auto session = backend->open("any", "{}")->open_session(1);
    EXPECT_THROW(session->run(PackedBatch{}), std::logic_error);
    auto batch = batch_of({{1, 2}});
    batch.offsets.back() = 3;
    EXPECT_THROW(session->run(batch), std::logic_error);
    batch = batch_of({{1, 2}, {3}});
    batch.offsets[1] = 4;
    EXPECT_THROW(session->run(batch), std::logic_error);
    batch = batch_of({{1, 2}});
    batch.type_ids = {0};
    EXPECT_THROW(session->run(batch), std::logic_error);
}

// ---- faulty backends, as tables

/// What a faulty backend answers. Its model and session handles point to it.
struct Answers {
    bool open = true;
    bool session = true;
    penstock_status info_status = PENSTOCK_OK;
    penstock_model_info info{0, 0, 10, 4, 2};
    penstock_status run_status = PENSTOCK_OK;
    std::vector<float> data = std::vector<float>(8);
    std::vector<std::int64_t> offsets{0, 2};
    std::vector<std::int64_t> rows{1, 1};
    std::int64_t width = 2;
    bool no_data = false;
    std::function<void()> visit = [] {};  // in open and close
    int open_models = 0;
    int open_sessions = 0;
};

Answers* answers = nullptr;  // of the running test: open() gets no handle to reach them by

void* faulty_open(const penstock_backend_host*, penstock_model_error*, penstock_str, penstock_str) {
    if (!answers->open) return nullptr;
    answers->visit();
    ++answers->open_models;
    return answers;
}
penstock_status faulty_info(void* model, penstock_model_info* out) {
    const std::uint32_t size = out->size;
    *out = static_cast<Answers*>(model)->info;
    out->size = size;
    return static_cast<Answers*>(model)->info_status;
}
void faulty_close(void* model) {
    auto& given = *static_cast<Answers*>(model);
    given.visit();
    --given.open_models;
}
void* faulty_session_open(void* model, penstock_model_error*, std::int32_t) {
    if (!answers->session) return nullptr;
    ++answers->open_sessions;
    return model;
}
void faulty_session_close(void* session) {
    --static_cast<Answers*>(session)->open_sessions;
}
penstock_status faulty_run(void* session, penstock_model_error*, const penstock_batch*,
                           penstock_result* out) {
    const Answers& given = *static_cast<Answers*>(session);
    out->data = given.no_data ? nullptr : given.data.data();
    out->offsets = given.offsets.empty() ? nullptr : given.offsets.data();
    out->rows = given.rows.empty() ? nullptr : given.rows.data();
    out->width = given.width;
    return given.run_status;
}

const penstock_backend faulty_table{sizeof(penstock_backend),
                                    0,
                                    PENSTOCK_STR("faulty"),
                                    faulty_open,
                                    faulty_info,
                                    faulty_close,
                                    faulty_session_open,
                                    faulty_session_close,
                                    faulty_run};
const penstock_backend* const faulty_tables[] = {&faulty_table};
const penstock_plugin faulty_plugin{sizeof(penstock_plugin), 0, 0,       0, PENSTOCK_STR("faulty"),
                                    PENSTOCK_STR("1"),       0, nullptr, 1, faulty_tables};

TEST(FaultyBackend, is_refused_with_what_it_did) {
    const std::pair<std::function<void(Answers&)>, const char*> cases[] = {
        {[](Answers&) {}, ""},
        {[](Answers& a) { a.info.output_width = 0; }, ""},  // not known before the first batch
        {[](Answers& a) { a.open = false; }, "cannot open the model in dir, and gives no reason"},
        {[](Answers& a) { a.info_status = PENSTOCK_FAIL; },
         "cannot describe the model that it opened"},
        {[](Answers& a) { a.info.max_tokens = 0; },
         "describes a model of 0 tokens and output width 2; the plugin is faulty"},
        {[](Answers& a) { a.info.output_width = -1; },
         "describes a model of 4 tokens and output width -1; the plugin is faulty"},
        {[](Answers& a) { a.session = false; }, "cannot open a session, and gives no reason"},
        {[](Answers& a) { a.run_status = PENSTOCK_FAIL; },
         "a batch of 2 sequences failed, and gives no reason"},
        {[](Answers& a) { a.run_status = 77; },
         "a batch of 2 sequences failed, and gives no reason"},
        {[](Answers& a) { a.no_data = true; },
         "returned a result without data; the plugin is faulty"},
        {[](Answers& a) { a.offsets.clear(); },
         "returned a result without data; the plugin is faulty"},
        {[](Answers& a) { a.rows.clear(); },
         "returned a result without data; the plugin is faulty"},
        {[](Answers& a) { a.width = 3; },
         "returned results 3 wide, where the model says 2; the plugin is faulty"},
        {[](Answers& a) { a.width = 0; },
         "returned results 0 wide, where the model says 2; the plugin is faulty"},
        {[](Answers& a) { a.rows[1] = 0; },
         "returned 0 rows at offset 2 for sequence 1; the plugin is faulty"},
        {[](Answers& a) { a.offsets[0] = -8; },
         "returned 1 rows at offset -8 for sequence 0; the plugin is faulty"},
    };
    for (const auto& [spoil, why] : cases) {
        Answers given;
        spoil(given);
        answers = &given;
        const std::string message = refusal([&] {
            const Library library = Library::adopt(&faulty_plugin, "memory");
            const auto backend = make_backend({library, library.backends()[0]});
            const auto session = backend->open("dir", "{}")->open_session(1);
            session->run(batch_of({{1}, {2}}));
        });
        EXPECT_EQ(message, *why ? std::string("backend [faulty]: ") + why : "");
        EXPECT_EQ(given.open_models, 0) << why;
        EXPECT_EQ(given.open_sessions, 0) << why;
    }
    answers = nullptr;
}

TEST(FaultyBackend, models_are_opened_and_closed_one_at_a_time) {
    Answers given;
    std::atomic<int> inside{0};
    std::atomic<bool> met{false};
    given.visit = [&] {
        if (++inside > 1) met = true;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        --inside;
    };
    answers = &given;
    const Library library = Library::adopt(&faulty_plugin, "memory");
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            const auto backend = make_backend({library, library.backends()[0]});
            for (int round = 0; round < 20; ++round)
                backend->open("dir", "{}");
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_FALSE(met);
    EXPECT_EQ(given.open_models, 0);
    answers = nullptr;
}

TEST(PluginLog, goes_where_it_is_sent) {
    static std::string seen;
    set_log([](int level, std::string_view message) noexcept {
        seen += std::to_string(level) + std::string(message);
    });
    host_log(2, {"warned", 6});
    host_log(99, {"!", 1});
    host_log(1, {nullptr, 0});
    set_log(nullptr);
    host_log(2, {"dropped", 7});
    EXPECT_EQ(seen, "2warned3!");
}

}  // namespace
}  // namespace penstock::plugin
