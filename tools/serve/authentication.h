// Who may do what: users with passwords, API keys.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tools/serve/state_file.h"

namespace penstock::serve {

/// What somebody may do. Without `indices` all indices and everything that is of no index.
struct Permissions {
    bool read_only = false;
    std::vector<std::string> indices;  ///< names with `*`; empty: no limit

    bool limited() const { return !indices.empty(); }
    bool allows_index(std::string_view index) const;
};

/// Who sent a request.
struct Principal {
    std::string name;
    bool is_key = false;
    Permissions permissions;
};

struct ApiKeyInfo {
    std::string id;
    std::string name;
    std::string creator;
    std::int64_t created_millis = 0;
    std::int64_t expires_millis = 0;  ///< 0: never
    Permissions permissions;
};

/// A key as it is shown once: `encoded` goes behind "Authorization: ApiKey ".
struct NewApiKey {
    ApiKeyInfo info;
    std::string api_key;
    std::string encoded;
};

/// Users and keys of one data directory. Secrets are stored as salted hashes (PBKDF2-HMAC-SHA256),
/// a check costs its iterations once and is then remembered for a minute. Thread-safe; blocks.
class Credentials {
  public:
    explicit Credentials(const std::filesystem::path& data);

    /// No user and no key is known: nobody has to say who they are.
    bool empty() const;

    /// Adds a user or changes the password. Throws penstock::Error for a name or password that is
    /// none.
    void put_user(const std::string& name, std::string_view password,
                  const Permissions& permissions = {});
    bool remove_user(const std::string& name);
    std::vector<std::string> users() const;

    NewApiKey create_key(const std::string& name, const std::string& creator,
                         const Permissions& permissions,
                         std::optional<std::chrono::milliseconds> lifetime = std::nullopt);
    /// False when there is none of that id.
    bool remove_key(const std::string& id);
    std::vector<ApiKeyInfo> keys() const;

    /// Of an Authorization header, Basic or ApiKey; null when it is neither, wrong, or expired.
    std::shared_ptr<const Principal> authenticate(std::string_view authorization);

  private:
    struct Secret {
        std::string salt;
        std::string hash;
        int iterations = 0;
    };
    struct Entry {
        Secret secret;
        ApiKeyInfo info;  ///< for a user: its name and permissions
    };

    static Secret hashed(std::string_view secret, int iterations);
    bool fits(const std::string& name, const Entry& entry, std::string_view secret);
    void refresh() const;
    void store(const std::string& name, const Entry& entry);
    bool remove(const std::string& name);

    std::filesystem::path path_;
    StateFile file_;
    mutable std::mutex mutex_;  // guards what follows
    mutable std::unordered_map<std::string, Entry> entries_;
    mutable std::filesystem::file_time_type read_at_;  ///< the file's time when it was read
    std::string process_key_;                          ///< for the memory of checks
    mutable std::unordered_map<std::string, std::chrono::steady_clock::time_point> checked_;
};

}  // namespace penstock::serve
