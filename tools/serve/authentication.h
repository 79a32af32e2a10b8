// Who may do what: users with passwords, API keys.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/permissions.h"
#include "tools/serve/secret_checks.h"
#include "tools/serve/state_file.h"

namespace penstock::serve {

/// Who sent a request.
struct Principal {
    std::string name;  ///< of a key: its id
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
    std::string metadata = "{}";  ///< a JSON object, as it was given

    bool expired() const;
};

/// A key that is asked for.
struct ApiKeyRequest {
    std::string name;
    std::string creator;
    Permissions permissions;
    std::optional<std::chrono::milliseconds> lifetime;
    std::string metadata = "{}";
};

/// A key as it is shown once: `encoded` goes behind "Authorization: ApiKey ".
struct NewApiKey {
    ApiKeyInfo info;
    std::string api_key;
    std::string encoded;
};

/// Users and keys of one data directory, in its security.json. Once there has been one, nobody is
/// let in without: not when the last one is removed, nor when the file is damaged or deleted while
/// this object lives. Thread-safe; blocks for the file.
class Credentials {
  public:
    /// Throws penstock::Error when the file is damaged.
    explicit Credentials(const std::filesystem::path& data);

    /// No user and no key is known.
    bool empty() const;
    /// Whether requests must say who sends them.
    bool required() const;

    /// Adds a user or changes the password. Without `permissions` somebody new may do everything,
    /// and everybody else what they could. Throws penstock::Error for a name or password that is
    /// none.
    void put_user(const std::string& name, std::string_view password,
                  const std::optional<Permissions>& permissions = std::nullopt);
    bool remove_user(const std::string& name);
    std::vector<std::string> users() const;

    NewApiKey create_key(ApiKeyRequest&& request);
    /// False when there is none of that id.
    bool remove_key(const std::string& id);
    std::vector<ApiKeyInfo> keys() const;

    /// Of an Authorization header, Basic or ApiKey; null when it is neither, wrong, or expired.
    /// Takes as long for somebody unknown as for a wrong password. `pool` is for hashing. Throws
    /// ApiError 429 when too many passwords wait to be checked.
    boost::asio::awaitable<std::shared_ptr<const Principal>> authenticate(
        std::string authorization, boost::asio::any_io_executor pool);

  private:
    struct Entry {
        HashedSecret secret;
        ApiKeyInfo info;  ///< for a user: its name and permissions
    };
    using Entries = std::map<std::string, std::shared_ptr<const Entry>>;
    /// By which a file that has been replaced is known.
    struct Version {
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        ::ino_t inode = 0;
        ::off_t size = -1;  ///< there is no file

        bool operator==(const Version&) const = default;
    };

    Version version() const;
    void load(const Version& found) const;
    void refresh() const;
    std::shared_ptr<const Entry> find(const std::string& name) const;
    void store(const std::string& name, const Entry& entry);
    bool remove(const std::string& name);

    std::filesystem::path path_;
    StateFile file_;
    SecretChecks checks_;
    mutable std::mutex mutex_;  // guards what follows
    mutable Entries entries_;
    mutable bool required_ = false;
    mutable std::optional<Version> read_;      ///< of `entries_`
    mutable std::optional<Version> reported_;  ///< the file that was last complained about
};

}  // namespace penstock::serve
