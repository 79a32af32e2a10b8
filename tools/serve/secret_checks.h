// Passwords and keys: hashes of them, and comparing with these.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace penstock::serve {

/// What is kept of a secret: PBKDF2-HMAC-SHA256.
struct HashedSecret {
    std::string salt;
    std::string hash;
    int iterations = 0;

    static HashedSecret of(std::string_view secret, int iterations);
};

/// Compares secrets with hashes, which is made to cost time. What fits is remembered as long as it
/// is in use, what does not fit for some seconds; neither as it stands, nor so that a hash that
/// has been replaced meanwhile would count. Dear comparisons are made one at a time. Thread-safe.
class SecretChecks {
  public:
    SecretChecks();
    ~SecretChecks();

    /// Dear ones run on `pool`, which is the same in every call. Throws ApiError 429 when too many
    /// wait.
    boost::asio::awaitable<bool> fits(std::string name, HashedSecret hashed, std::string secret,
                                      boost::asio::any_io_executor pool);

  private:
    using Clock = std::chrono::steady_clock;
    struct Answer {
        bool fits = false;
        Clock::time_point until;
    };
    class Place;
    struct Queue;

    std::string memory_key(const std::string& name, const HashedSecret& hashed,
                           std::string_view secret) const;
    std::optional<bool> remembered(const std::string& key);
    bool compare(const std::string& key, const HashedSecret& hashed, std::string_view secret);

    const std::string process_key_;
    std::mutex mutex_;  // guards what follows
    std::unordered_map<std::string, Answer> answers_;
    std::map<std::string, int> waiting_;  ///< by memory key: who asks the same waits together
    std::unique_ptr<Queue> queue_;
};

}  // namespace penstock::serve
