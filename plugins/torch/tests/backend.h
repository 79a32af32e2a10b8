#pragma once

#include <penstock_plugin.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace penstock::plugins::torch::test {

/// One sequence of a batch; `types` may be empty.
struct Sequence {
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> types = {};
};

using Vector = std::vector<float>;

/// The built plugin, loaded as a host loads it: dlopen, entry symbol, C tables. Nothing here knows
/// how the plugin works inside.
const penstock_plugin& plugin();

/// A model opened through the tables, and one session on it. Failures throw std::runtime_error with
/// the plugin's reason.
class Backend {
  public:
    explicit Backend(const std::filesystem::path& directory, const std::string& config = "{}",
                     int threads = 1);
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    ~Backend();

    penstock_model_info info() const;
    /// Each sequence's rows, one after the other.
    std::vector<Vector> run(const std::vector<Sequence>& batch) { return run(session_, batch); }
    Vector run_one(const Sequence& sequence) { return run({sequence}).front(); }

    /// A further session on the same weights, for tests of concurrency.
    void* open_session(int threads);
    void close_session(void* session);
    std::vector<Vector> run(void* session, const std::vector<Sequence>& batch);

  private:
    const penstock_backend& table_;
    void* model_ = nullptr;
    void* session_ = nullptr;
};

/// What opening the model says is wrong; empty when it opens.
std::string open_error(const std::filesystem::path& directory, const std::string& config = "{}");

/// Warnings that the plugin logged so far.
const std::vector<std::string>& warnings();

double max_difference(const Vector& a, const Vector& b);
double cosine(const Vector& a, const Vector& b);

/// A fresh directory under the system's temporary one, removed at the end.
class TemporaryDirectory {
  public:
    TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, const std::string& content);
std::string read_file(const std::filesystem::path& path);

/// Data that is not part of the repository; nothing when it is absent and the test is to be
/// skipped.
std::optional<std::filesystem::path> shared_data(const std::filesystem::path& relative);

}  // namespace penstock::plugins::torch::test
