// A model whose output, speed and failures the tests decide.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/inference/deployment.h"
#include "engine/inference/model_store.h"
#include "engine/runtime/error.h"

namespace penstock::inference::testing {

inline bool eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

inline std::int32_t id_of(std::string_view word) {
    std::uint32_t hash = 2166136261U;
    for (const char c : word)
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    return static_cast<std::int32_t>(10 + hash % 1'000'000'000U);
}

/// One token a word, 1 before and 2 after the text.
class WordTokenizer final : public text::Tokenizer {
  public:
    void encode(std::string_view text, bool with_special_tokens, text::Tokens& out) const override {
        out.clear();
        if (with_special_tokens) add(1, 0, 0, out);
        std::size_t at = 0;
        while ((at = text.find_first_not_of(' ', at)) != std::string_view::npos) {
            const std::size_t end = std::min(text.find(' ', at), text.size());
            add(id_of(text.substr(at, end - at)), at, end, out);
            at = end;
        }
        if (with_special_tokens) add(2, text.size(), text.size(), out);
    }
    std::size_t special_token_count() const override { return 2; }
    const std::vector<std::int32_t>& prefix_ids() const override { return prefix_; }
    const std::vector<std::int32_t>& suffix_ids() const override { return suffix_; }
    std::string_view type() const override { return "words"; }
    std::size_t vocabulary_size() const override { return 1'000'000'010; }
    std::string_view token(std::int32_t) const override { return {}; }

  private:
    static void add(std::int32_t id, std::size_t begin, std::size_t end, text::Tokens& out) {
        out.ids.push_back(id);
        out.begin.push_back(static_cast<std::uint32_t>(begin));
        out.end.push_back(static_cast<std::uint32_t>(end));
    }
    std::vector<std::int32_t> prefix_{1};
    std::vector<std::int32_t> suffix_{2};
};

/// The same three numbers for the same ids, in any batch.
inline std::vector<float> expected_embedding(const std::vector<std::int32_t>& ids) {
    std::uint32_t sum = 7;
    for (const std::int32_t id : ids)
        sum = sum * 31 + static_cast<std::uint32_t>(id);
    return {static_cast<float>(sum % 1009), static_cast<float>(sum % 997),
            static_cast<float>(ids.size())};
}

inline std::vector<float> expected_embedding(std::string_view text) {
    text::Tokens tokens;
    WordTokenizer().encode(text, true, tokens);
    return expected_embedding(tokens.ids);
}

/// What the tests set and see; outlives the backend.
struct Control {
    std::mutex mutex;
    std::condition_variable changed;
    bool blocked = false;       ///< runs wait while it is true
    bool open_blocked = false;  ///< models wait to be opened while it is true
    int blocked_session = -1;   ///< the how manyth session, from 0, waits to be opened
    int opening = 0;            ///< models that are being opened now
    int opened = 0;
    int sessions = 0;
    int sessions_alive = 0;
    int models_alive = 0;
    int running = 0;
    int most_running = 0;
    int failing_sessions_from = 1'000'000;  ///< the how manyth session, from 0, cannot be opened
    bool fail_open = false;
    bool nan_output = false;
    std::chrono::microseconds per_token{0};
    std::set<std::int32_t> poison;  ///< a batch with one of these ids fails as a whole
    std::string config;
    std::vector<int> threads;
    std::vector<std::vector<std::vector<std::int32_t>>> batches;

    void block(bool value) {
        std::lock_guard lock(mutex);
        blocked = value;
        changed.notify_all();
    }
    void block_open(bool value) {
        std::lock_guard lock(mutex);
        open_blocked = value;
        changed.notify_all();
    }
    void block_session(int index) {
        std::lock_guard lock(mutex);
        blocked_session = index;
        changed.notify_all();
    }
    void fail_sessions_from(int index) {
        std::lock_guard lock(mutex);
        failing_sessions_from = index;
    }
    int session_count() {
        std::lock_guard lock(mutex);
        return sessions;
    }
    int opening_now() {
        std::lock_guard lock(mutex);
        return opening;
    }
    std::size_t batch_count() {
        std::lock_guard lock(mutex);
        return batches.size();
    }
    int running_now() {
        std::lock_guard lock(mutex);
        return running;
    }
};

/// Lets everything go on when a test ends, however it ends. Declared after what waits for the
/// model in its destructor, so that it goes first.
class ReleaseAtEnd {
  public:
    explicit ReleaseAtEnd(Control& control) : control_(control) {}
    ~ReleaseAtEnd() {
        control_.block(false);
        control_.block_open(false);
        control_.block_session(-1);
    }
    ReleaseAtEnd(const ReleaseAtEnd&) = delete;
    ReleaseAtEnd& operator=(const ReleaseAtEnd&) = delete;

  private:
    Control& control_;
};

/// While it lives no thread can be started: the system has no room for so large a stack.
class NoNewThreads {
  public:
    NoNewThreads() {
        ::pthread_getattr_default_np(&before_);
        pthread_attr_t huge;
        ::pthread_getattr_default_np(&huge);
        ::pthread_attr_setstacksize(&huge, std::size_t{1} << 62);
        ::pthread_setattr_default_np(&huge);
        ::pthread_attr_destroy(&huge);
    }
    ~NoNewThreads() {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }
    NoNewThreads(const NoNewThreads&) = delete;
    NoNewThreads& operator=(const NoNewThreads&) = delete;

  private:
    pthread_attr_t before_;
};

class FakeSession final : public Session {
  public:
    explicit FakeSession(std::shared_ptr<Control> control) : control_(std::move(control)) {}
    ~FakeSession() override {
        std::lock_guard lock(control_->mutex);
        --control_->sessions_alive;
    }

    BatchResult run(const PackedBatch& batch) override {
        std::vector<std::vector<std::int32_t>> sequences;
        for (std::size_t i = 0; i < batch.sequences(); ++i) {
            sequences.emplace_back(batch.ids.begin() + batch.offsets[i],
                                   batch.ids.begin() + batch.offsets[i + 1]);
        }
        std::unique_lock lock(control_->mutex);
        control_->batches.push_back(sequences);
        control_->most_running = std::max(control_->most_running, ++control_->running);
        control_->changed.wait(lock, [&] { return !control_->blocked; });
        const auto cost = control_->per_token * static_cast<int>(batch.tokens());
        const std::set<std::int32_t> poison = control_->poison;
        const bool nan = control_->nan_output;
        lock.unlock();
        if (cost.count() > 0) std::this_thread::sleep_for(cost);
        lock.lock();
        --control_->running;
        for (const std::int32_t id : batch.ids) {
            if (poison.contains(id)) throw Error("poisoned");
        }
        data_.clear();
        offsets_.clear();
        rows_.assign(sequences.size(), 1);
        for (const auto& ids : sequences) {
            offsets_.push_back(static_cast<std::int64_t>(data_.size()));
            for (const float value : expected_embedding(ids))
                data_.push_back(nan ? NAN : value);
        }
        return {data_.data(), offsets_, rows_, 3};
    }

  private:
    std::shared_ptr<Control> control_;
    std::vector<float> data_;
    std::vector<std::int64_t> offsets_;
    std::vector<std::int64_t> rows_;
};

class FakeModel final : public BackendModel {
  public:
    explicit FakeModel(std::shared_ptr<Control> control) : control_(std::move(control)) {}
    ~FakeModel() override {
        std::lock_guard lock(control_->mutex);
        --control_->models_alive;
    }
    ModelInfo info() const override {
        return {.weight_bytes = 1 << 20, .max_tokens = 64, .output_width = 3};
    }
    std::unique_ptr<Session> open_session(int threads) override {
        std::unique_lock lock(control_->mutex);
        const int index = control_->sessions++;
        control_->changed.wait(lock, [&] { return control_->blocked_session != index; });
        if (index >= control_->failing_sessions_from) throw Error("no scratch memory");
        control_->threads.push_back(threads);
        ++control_->sessions_alive;
        return std::make_unique<FakeSession>(control_);
    }

  private:
    std::shared_ptr<Control> control_;
};

class FakeBackend final : public Backend {
  public:
    explicit FakeBackend(std::shared_ptr<Control> control) : control_(std::move(control)) {}
    std::string_view name() const override { return "fake"; }
    std::shared_ptr<BackendModel> open(const std::string&, std::string_view config) override {
        std::unique_lock lock(control_->mutex);
        ++control_->opening;
        control_->changed.wait(lock, [&] { return !control_->open_blocked; });
        --control_->opening;
        ++control_->opened;
        control_->config = config;
        if (control_->fail_open) throw Error("the weights are of another model");
        ++control_->models_alive;
        return std::make_shared<FakeModel>(control_);
    }

  private:
    std::shared_ptr<Control> control_;
};

/// A temporary directory of models, removed at the end.
class ModelDirectory {
  public:
    ModelDirectory() {
        std::random_device random;
        root_ = std::filesystem::temp_directory_path() /
                ("penstock-inference-test-" + std::to_string(random()) + std::to_string(random()));
        std::filesystem::create_directories(root_);
    }
    ~ModelDirectory() { std::filesystem::remove_all(root_); }
    ModelDirectory(const ModelDirectory&) = delete;
    ModelDirectory& operator=(const ModelDirectory&) = delete;

    const std::filesystem::path& root() const { return root_; }

    void write(const std::string& file, std::string_view text) const {
        std::filesystem::create_directories((root_ / file).parent_path());
        std::ofstream(root_ / file, std::ios::binary) << text;
    }

    /// A whole model: 8 bytes of F32 weights.
    void add_model(const std::string& id, std::string_view manifest = {}) const {
        write(id + "/config.json", R"({"model_type": "bert"})");
        write(id + "/tokenizer.json", R"({"version": "1.0"})");
        write(id + "/model.safetensors", safetensors(8));
        if (!manifest.empty()) write(id + "/penstock-model.yaml", manifest);
    }

    static std::string safetensors(std::size_t bytes_present) {
        const std::string header =
            R"({"__metadata__":{"note":"\"data_offsets\":[0,9999]"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
        std::string file;
        for (std::size_t i = 0; i < 8; ++i)
            file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
        return file + header + std::string(bytes_present, '\1');
    }

  private:
    std::filesystem::path root_;
};

/// A store of fake models.
struct Fixture {
    std::shared_ptr<Control> control = std::make_shared<Control>();
    ModelDirectory models;

    std::shared_ptr<ModelStore> store() const {
        ModelStoreOptions options;
        options.roots = {models.root()};
        options.backend = [c = control] { return std::make_shared<FakeBackend>(c); };
        options.tokenizer = [](const std::filesystem::path&) {
            return std::make_shared<WordTokenizer>();
        };
        return std::make_shared<ModelStore>(std::move(options));
    }

    /// A started deployment of the model "m".
    std::unique_ptr<Deployment> deploy(DeploymentConfig config = {},
                                       std::string_view manifest = {}) const {
        models.add_model("m", manifest);
        config.model_id = "m";
        if (config.deployment_id.empty()) config.deployment_id = "d";
        auto deployment =
            std::make_unique<Deployment>(config, [s = store(), device = config.device] {
                return s->load("m", {device, "auto"});
            });
        deployment->wait_until(WaitFor::fully_allocated, std::chrono::seconds(20));
        return deployment;
    }
};

inline InferResult infer(Deployment& deployment, const std::vector<std::string>& texts,
                         InferOptions options = {}) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return infer_blocking(deployment, {views, options});
}

/// A request that the test does not wait for at once.
struct Pending {
    CallHandle call = make_call();
    std::mutex mutex;
    std::condition_variable answered;
    bool done = false;
    InferResult result;

    void submit(Deployment& deployment, const std::vector<std::string>& texts,
                InferOptions options = {}) {
        const std::vector<std::string_view> views(texts.begin(), texts.end());
        deployment.submit(call, {views, options}, [this](InferResult r) {
            std::lock_guard lock(mutex);
            result = std::move(r);
            done = true;
            answered.notify_all();
        });
    }
    bool wait() {
        std::unique_lock lock(mutex);
        return answered.wait_for(lock, std::chrono::seconds(20), [&] { return done; });
    }
    bool is_done() {
        std::lock_guard lock(mutex);
        return done;
    }
};

inline std::vector<float> values(const InferItem& item) {
    return {item.embedding().begin(), item.embedding().end()};
}

inline std::string words(std::size_t count, const std::string& word = "w") {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
        text += word + std::to_string(i) + " ";
    return text;
}

}  // namespace penstock::inference::testing
