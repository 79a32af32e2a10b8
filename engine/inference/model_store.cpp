#include "engine/inference/model_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <system_error>

#include "engine/inference/inference_error.h"

namespace penstock::inference {
namespace {

namespace fs = std::filesystem;

// What is loaded now, by key: made once, shared while somebody holds it.
template <class T>
class Registry {
  public:
    template <class Make>
    std::shared_ptr<const T> get(const std::string& key, Make&& make) {
        std::shared_ptr<Slot> slot;
        {
            std::lock_guard lock(mutex_);
            drop_unused();
            auto& entry = slots_[key];
            if (!entry) entry = std::make_shared<Slot>();
            slot = entry;
        }
        std::lock_guard lock(slot->mutex);
        if (auto existing = slot->value.lock()) return existing;
        std::shared_ptr<const T> made = make();
        slot->value = made;
        return made;
    }

  private:
    struct Slot {
        std::mutex mutex;  // held while the value is made, so that a second asker waits for it
        std::weak_ptr<const T> value;
    };

    void drop_unused() {
        std::erase_if(slots_, [](const auto& entry) {
            // Only the map has it, so nobody makes its value now; the lock is for what was written
            // before.
            if (entry.second.use_count() != 1) return false;
            std::lock_guard lock(entry.second->mutex);
            return entry.second->value.expired();
        });
    }

    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Slot>> slots_;
};

std::string stamp(const fs::path& file) {
    std::error_code ignored;
    const auto time = fs::last_write_time(file, ignored);
    if (ignored) return "-";
    return std::to_string(time.time_since_epoch().count()) + "/" +
           std::to_string(fs::file_size(file, ignored));
}

// Changes when a file is replaced, so that a model put anew is not answered by the old copy. Every
// file counts, in folders too, since a backend reads what it likes; but nothing hidden, such as
// what a download keeps for itself.
std::string stamp_all(const fs::path& directory) {
    std::vector<std::string> stamps;
    std::error_code error;
    fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied,
                                           error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        std::error_code unreadable;
        if (entry->path().filename().native().starts_with('.')) {
            entry.disable_recursion_pending();
        } else if (entry->is_regular_file(unreadable)) {
            stamps.push_back(entry->path().string() + "=" + stamp(entry->path()));
        }
    }
    std::ranges::sort(stamps);  // a directory has no order of its own
    std::string all;
    for (const std::string& each : stamps)
        all += "|" + each;
    return all;
}

bool looks_like_a_model(const fs::path& directory) {
    for (const char* name :
         {"config.json", "model.safetensors", "model.safetensors.index.json",
          "model.fp16.safetensors", "model.pt", "model.torchscript.pt", "penstock-model.yaml",
          "tokenizer.json", "vocab.txt", "pytorch_model.bin"}) {
        if (fs::exists(directory / name)) return true;
    }
    return false;
}

ModelSummary summarise(std::string model_id, const fs::path& directory) {
    ModelSummary summary;
    summary.model_id = std::move(model_id);
    summary.directory = directory;
    try {
        const ModelFiles files = inspect_model_files(directory);
        summary.state = files.state;
        summary.reason = files.reason;
        summary.model_size_bytes = files.weight_bytes;
        const ModelManifest manifest = load_manifest(directory);
        summary.task_type = manifest.task_type;
        summary.description = manifest.description;
    } catch (const fs::filesystem_error& error) {
        summary.state = ModelState::invalid;
        summary.reason = error.path1().string() + ": " + error.code().message();
    } catch (const Error& error) {
        summary.state = ModelState::invalid;
        summary.reason = error.what();
    }
    return summary;
}

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string backend_config(const ModelManifest& manifest, const Placement& placement) {
    std::string json =
        "{\"device\":" + json_text(placement.device) + ",\"dtype\":" + json_text(placement.dtype);
    if (manifest.pooling) json += ",\"pooling\":" + json_text(*manifest.pooling);
    if (manifest.normalize)
        json += std::string(",\"normalize\":") + (*manifest.normalize ? "true" : "false");
    if (manifest.max_sequence_length) {
        json += ",\"max_sequence_length\":" + std::to_string(*manifest.max_sequence_length);
    }
    return json + "}";
}

std::int64_t longest_input(const ModelInfo& info, const ModelManifest& manifest) {
    std::int64_t longest = info.max_tokens;
    for (const auto& limit :
         {manifest.max_sequence_length, manifest.inference_config.max_sequence_length}) {
        if (limit) longest = std::min(longest, *limit);
    }
    return longest;
}

void check_loaded(const LoadedModel& model, const fs::path& directory) {
    const auto special = static_cast<std::int64_t>(
        model.manifest.inference_config.with_special_tokens ? model.tokenizer->special_token_count()
                                                            : 0);
    if (model.max_tokens <= special) {
        throw Error(directory.string() + ": the longest input is " +
                    std::to_string(model.max_tokens) + " tokens, which the " +
                    std::to_string(special) +
                    " special tokens fill already; raise max_sequence_length");
    }
    const auto& expected = model.manifest.inference_config.embedding_size;
    if (expected && *expected != model.info.output_width) {
        throw Error((directory / "penstock-model.yaml").string() + ": embedding_size is " +
                    std::to_string(*expected) + ", but the model's vectors have " +
                    std::to_string(model.info.output_width) + " numbers");
    }
}

}  // namespace

struct ModelStore::Shared {
    Registry<LoadedModel> models;
    Registry<text::Tokenizer> tokenizers;
};

ModelStore::ModelStore(ModelStoreOptions options)
    : options_(std::move(options)), shared_(std::make_unique<Shared>()) {
    if (!options_.tokenizer) options_.tokenizer = text::load_tokenizer;
}

ModelStore::~ModelStore() = default;

std::vector<ModelSummary> ModelStore::list() const {
    std::map<std::string, ModelSummary> found;
    for (const fs::path& root : options_.roots) {
        std::error_code unreadable;
        for (const auto& entry : fs::directory_iterator(root, unreadable)) {
            std::string id = entry.path().filename().string();
            if (id.starts_with('.') || found.contains(id) || !entry.is_directory(unreadable))
                continue;
            if (looks_like_a_model(entry.path())) found.emplace(id, summarise(id, entry.path()));
        }
    }
    std::vector<ModelSummary> all;
    all.reserve(found.size());
    for (auto& [id, summary] : found)
        all.push_back(std::move(summary));
    return all;
}

ModelSummary ModelStore::describe(std::string_view model_id) const {
    return summarise(std::string(model_id), directory(model_id));
}

std::shared_ptr<const text::Tokenizer> ModelStore::tokenizer(std::string_view model_id) const {
    const fs::path where = directory(model_id);
    return shared_->tokenizers.get(where.string() + stamp_all(where),
                                   [&] { return options_.tokenizer(where); });
}

std::shared_ptr<const LoadedModel> ModelStore::load(std::string_view model_id,
                                                    const Placement& asked) const {
    const fs::path where = directory(model_id);
    const ModelFiles files = inspect_model_files(where);
    if (files.state != ModelState::ok) {
        throw InferenceError(
            400, "status_exception",
            files.reason.starts_with("Model definition truncated")
                ? "Model definition truncated. Unable to deserialize trained model definition [" +
                      std::string(model_id) + "]: in " + where.string() + ", " +
                      files.reason.substr(std::string_view("Model definition truncated: ").size())
                : "Could not load trained model [" + std::string(model_id) + "]: in " +
                      where.string() + ", " + files.reason);
    }
    const ModelManifest manifest = load_manifest(where);
    const Placement placement{asked.device, asked.dtype == "auto" ? manifest.dtype : asked.dtype};
    const std::string key =
        where.string() + "|" + placement.device + "|" + placement.dtype + stamp_all(where);
    return shared_->models.get(key, [&] {
        auto model = std::make_shared<LoadedModel>();
        model->model_id = std::string(model_id);
        model->manifest = manifest;
        model->task = make_task(model->manifest.task_type);
        model->tokenizer = tokenizer(model_id);
        model->backend = options_.backend ? options_.backend() : nullptr;
        if (!model->backend)
            throw Error("no inference backend is configured; the torch plugin provides one");
        model->weights =
            model->backend->open(where.string(), backend_config(model->manifest, placement));
        model->info = model->weights->info();
        model->max_tokens = longest_input(model->info, model->manifest);
        check_loaded(*model, where);
        return model;
    });
}

fs::path ModelStore::directory(std::string_view model_id) const {
    const bool is_a_name =
        !model_id.empty() && model_id != "." && model_id != ".." &&
        model_id.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
    std::string looked_in;
    for (const fs::path& root : options_.roots) {
        const fs::path candidate = root / model_id;
        std::error_code unreadable;
        if (is_a_name && fs::is_directory(candidate, unreadable))
            return fs::weakly_canonical(candidate);
        looked_in += (looked_in.empty() ? "" : ", ") + root.string();
    }
    throw InferenceError(404, "resource_not_found_exception",
                         "Could not find trained model [" + std::string(model_id) +
                             "]; looked in " +
                             (looked_in.empty() ? "no directory (none is configured)" : looked_in));
}

}  // namespace penstock::inference
