#include "engine/plugin/backend_adapter.h"

#include <algorithm>
#include <stdexcept>

#include "engine/plugin/log.h"
#include "engine/runtime/error.h"

// The ABI's opaque error: what a backend says about a failing call.
struct penstock_model_error {
    std::string reason;
};

namespace penstock::plugin {
namespace {

penstock_str borrow(std::string_view text) {
    return {text.data(), text.size()};
}

void model_error(penstock_model_error* error, penstock_str message) {
    try {
        error->reason.assign(message.data, message.size);
    } catch (const std::bad_alloc&) {
        error->reason.clear();  // the failure stays one, without its reason
    }
}

constexpr penstock_backend_host host_table{sizeof(penstock_backend_host), PENSTOCK_ABI_MINOR,
                                           model_error, host_log};

/// One model's table, handle and name: what its sessions need too.
struct Shared {
    BackendTable backend;
    std::string name;

    [[noreturn]] void fail(const std::string& what) const {
        throw Error("backend [" + name + "]: " + what);
    }
    [[noreturn]] void fail(const penstock_model_error& error, const std::string& otherwise) const {
        fail(error.reason.empty() ? otherwise + ", and gives no reason" : error.reason);
    }
    const penstock_backend& table() const { return backend.table; }
    void close(void* model) const {
        const auto lock = backend.library.load_lock();
        table().close(model);
    }
};

void check_batch(const inference::PackedBatch& batch) {
    const auto& offsets = batch.offsets;
    if (offsets.size() < 2 || offsets.front() != 0 ||
        offsets.back() != static_cast<std::int64_t>(batch.ids.size()) ||
        !std::is_sorted(offsets.begin(), offsets.end())) {
        throw std::logic_error("a packed batch's offsets do not match its ids");
    }
    if (!batch.type_ids.empty() && batch.type_ids.size() != batch.ids.size()) {
        throw std::logic_error("a packed batch's type ids do not match its ids");
    }
}

class PluginModel;

class PluginSession final : public inference::Session {
  public:
    PluginSession(std::shared_ptr<const PluginModel> model, void* handle, std::int64_t width);
    ~PluginSession() override;
    PluginSession(const PluginSession&) = delete;
    PluginSession& operator=(const PluginSession&) = delete;

    inference::BatchResult run(const inference::PackedBatch& batch) override;

  private:
    inference::BatchResult checked(const penstock_result& result, std::size_t sequences) const;

    std::shared_ptr<const PluginModel> model_;
    void* handle_;
    std::int64_t width_;  // what the model promised; 0 when it could not tell
};

class PluginModel final : public inference::BackendModel,
                          public std::enable_shared_from_this<PluginModel> {
  public:
    PluginModel(std::shared_ptr<const Shared> shared, void* handle)
        : shared_(std::move(shared)), handle_(handle) {}
    ~PluginModel() override { shared_->close(handle_); }
    PluginModel(const PluginModel&) = delete;
    PluginModel& operator=(const PluginModel&) = delete;

    inference::ModelInfo info() const override {
        penstock_model_info raw{};
        raw.size = sizeof raw;
        if (shared_->table().info(handle_, &raw) != PENSTOCK_OK) {
            shared_->fail("cannot describe the model that it opened");
        }
        if (raw.max_tokens < 1 || raw.output_width < 0) {
            shared_->fail("describes a model of " + std::to_string(raw.max_tokens) +
                          " tokens and output width " + std::to_string(raw.output_width) +
                          "; the plugin is faulty");
        }
        return {raw.weight_bytes, raw.max_tokens, raw.output_width};
    }

    std::unique_ptr<inference::Session> open_session(int threads) override {
        const std::int64_t width = info().output_width;
        penstock_model_error error;
        void* session = shared_->table().session_open(handle_, &error, threads);
        if (!session) shared_->fail(error, "cannot open a session");
        try {
            return std::make_unique<PluginSession>(shared_from_this(), session, width);
        } catch (...) {
            shared_->table().session_close(session);
            throw;
        }
    }

    const Shared& shared() const { return *shared_; }

  private:
    std::shared_ptr<const Shared> shared_;
    void* handle_;
};

PluginSession::PluginSession(std::shared_ptr<const PluginModel> model, void* handle,
                             std::int64_t width)
    : model_(std::move(model)), handle_(handle), width_(width) {}

PluginSession::~PluginSession() {
    model_->shared().table().session_close(handle_);
}

inference::BatchResult PluginSession::run(const inference::PackedBatch& batch) {
    check_batch(batch);
    penstock_batch raw{};
    raw.size = sizeof raw;
    raw.sequences = batch.sequences();
    raw.offsets = batch.offsets.data();
    raw.ids = batch.ids.data();
    raw.type_ids = batch.type_ids.empty() ? nullptr : batch.type_ids.data();
    penstock_result result{};
    result.size = sizeof result;
    penstock_model_error error;
    const Shared& shared = model_->shared();
    if (shared.table().run(handle_, &error, &raw, &result) != PENSTOCK_OK) {
        shared.fail(error, "a batch of " + std::to_string(raw.sequences) + " sequences failed");
    }
    return checked(result, batch.sequences());
}

inference::BatchResult PluginSession::checked(const penstock_result& result,
                                              std::size_t sequences) const {
    const Shared& shared = model_->shared();
    if (!result.data || !result.offsets || !result.rows) {
        shared.fail("returned a result without data; the plugin is faulty");
    }
    if (result.width < 1 || (width_ > 0 && result.width != width_)) {
        shared.fail("returned results " + std::to_string(result.width) +
                    " wide, where the model says " + std::to_string(width_) +
                    "; the plugin is faulty");
    }
    for (std::size_t i = 0; i < sequences; ++i) {
        if (result.offsets[i] >= 0 && result.rows[i] >= 1) continue;
        shared.fail("returned " + std::to_string(result.rows[i]) + " rows at offset " +
                    std::to_string(result.offsets[i]) + " for sequence " + std::to_string(i) +
                    "; the plugin is faulty");
    }
    return {result.data, {result.offsets, sequences}, {result.rows, sequences}, result.width};
}

class PluginBackend final : public inference::Backend {
  public:
    explicit PluginBackend(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

    std::string_view name() const override { return shared_->name; }

    std::shared_ptr<inference::BackendModel> open(const std::string& directory,
                                                  std::string_view config) override {
        penstock_model_error error;
        void* model = call_open(error, directory, config);
        if (!model) shared_->fail(error, "cannot open the model in " + directory);
        std::shared_ptr<PluginModel> opened;
        try {
            opened = std::make_shared<PluginModel>(shared_, model);
        } catch (...) {
            shared_->close(model);
            throw;
        }
        (void)opened->info();  // a model that describes itself wrongly is refused now, not at its
                               // first batch
        return opened;
    }

  private:
    void* call_open(penstock_model_error& error, const std::string& directory,
                    std::string_view config) const {
        const auto lock = shared_->backend.library.load_lock();
        return shared_->table().open(&host_table, &error, borrow(directory), borrow(config));
    }

    std::shared_ptr<const Shared> shared_;
};

}  // namespace

std::unique_ptr<inference::Backend> make_backend(BackendTable backend) {
    std::string name(backend.table.name.data, backend.table.name.size);
    return std::make_unique<PluginBackend>(
        std::make_shared<const Shared>(Shared{std::move(backend), std::move(name)}));
}

std::unique_ptr<inference::Backend> open_backend(PluginSet& plugins, std::string_view name) {
    return make_backend(plugins.backend(name));
}

}  // namespace penstock::plugin
