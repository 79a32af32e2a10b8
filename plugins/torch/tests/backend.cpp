#include "plugins/torch/tests/backend.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace penstock::plugins::torch::test {

namespace {

std::string text(penstock_str value) {
    return {value.data, value.size};
}
penstock_str borrow(const std::string& value) {
    return {value.data(), value.size()};
}

std::vector<std::string>& logged() {
    static std::vector<std::string> lines;
    return lines;
}

void keep_error(penstock_model_error* error, penstock_str message) {
    *reinterpret_cast<std::string*>(error) = text(message);
}
void keep_log(std::int32_t level, penstock_str message) {
    if (level >= 2) logged().push_back(text(message));
}

constexpr penstock_backend_host kHost{sizeof(penstock_backend_host), PENSTOCK_ABI_MINOR, keep_error,
                                      keep_log};

penstock_model_error* sink(std::string& reason) {
    return reinterpret_cast<penstock_model_error*>(&reason);
}

}  // namespace

const penstock_plugin& plugin() {
    static const penstock_plugin* const table = [] {
        void* library = dlopen(PENSTOCK_TORCH_PLUGIN, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw std::runtime_error(dlerror());
        const auto entry =
            reinterpret_cast<decltype(&penstock_plugin_v1)>(dlsym(library, "penstock_plugin_v1"));
        if (entry == nullptr) throw std::runtime_error(dlerror());
        return entry();
    }();
    return *table;
}

const std::vector<std::string>& warnings() {
    return logged();
}

Backend::Backend(const std::filesystem::path& directory, const std::string& config, int threads)
    : table_(*plugin().backends[0]) {
    std::string reason;
    const std::string name = directory.string();
    model_ = table_.open(&kHost, sink(reason), borrow(name), borrow(config));
    if (model_ == nullptr) throw std::runtime_error(reason);
    session_ = open_session(threads);
}

Backend::~Backend() {
    table_.session_close(session_);
    table_.close(model_);
}

penstock_model_info Backend::info() const {
    penstock_model_info info{};
    info.size = sizeof(info);
    if (table_.info(model_, &info) != PENSTOCK_OK) throw std::runtime_error("info failed");
    return info;
}

void* Backend::open_session(int threads) {
    std::string reason;
    void* session = table_.session_open(model_, sink(reason), threads);
    if (session == nullptr) throw std::runtime_error(reason);
    return session;
}

void Backend::close_session(void* session) {
    table_.session_close(session);
}

std::vector<Vector> Backend::run(void* session, const std::vector<Sequence>& sequences) {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> types;
    for (const Sequence& sequence : sequences) {
        ids.insert(ids.end(), sequence.ids.begin(), sequence.ids.end());
        types.insert(types.end(), sequence.types.begin(), sequence.types.end());
        types.resize(ids.size());
        offsets.push_back(static_cast<std::int64_t>(ids.size()));
    }
    const bool typed = std::ranges::any_of(types, [](std::int32_t type) { return type != 0; });
    const penstock_batch batch{sizeof(penstock_batch), 0,          sequences.size(),
                               offsets.data(),         ids.data(), typed ? types.data() : nullptr};
    penstock_result result{};
    result.size = sizeof(result);
    std::string reason;
    if (table_.run(session, sink(reason), &batch, &result) != PENSTOCK_OK) {
        throw std::runtime_error(reason);
    }
    std::vector<Vector> outputs;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const float* begin = result.data + result.offsets[i];
        outputs.emplace_back(begin, begin + result.rows[i] * result.width);
    }
    return outputs;
}

std::string open_error(const std::filesystem::path& directory, const std::string& config) {
    try {
        const Backend backend(directory, config);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return {};
}

double max_difference(const Vector& a, const Vector& b) {
    if (a.size() != b.size()) return INFINITY;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        if (!(difference <= largest)) largest = difference;  // keeps NaN
    }
    return largest;
}

double cosine(const Vector& a, const Vector& b) {
    if (a.size() != b.size()) return NAN;
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        dot += static_cast<double>(a[i]) * b[i];
        aa += static_cast<double>(a[i]) * a[i];
        bb += static_cast<double>(b[i]) * b[i];
    }
    return dot / std::sqrt(aa * bb);
}

TemporaryDirectory::TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-torch-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
    path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& path, const std::string& content) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out(path, std::ios::binary);
    out << content;
    if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream content;
    content << in.rdbuf();
    return content.str();
}

std::optional<std::filesystem::path> shared_data(const std::filesystem::path& relative) {
    const char* set = std::getenv("PENSTOCK_SHARED");
    const std::filesystem::path root =
        set != nullptr ? std::filesystem::path(set)
                       : std::filesystem::path(PENSTOCK_SOURCE_DIR) / ".." / "shared";
    if (!std::filesystem::exists(root / relative)) return std::nullopt;
    return root / relative;
}

}  // namespace penstock::plugins::torch::test
