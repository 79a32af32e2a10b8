#include "tools/serve/secret_checks.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <boost/asio/strand.hpp>

#include "engine/runtime/await.h"
#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/random_id.h"

namespace penstock::serve {

namespace {

constexpr std::size_t kHashBytes = 32;
constexpr int kDear = 10'000;  // iterations; fewer are done before they could be queued
constexpr std::size_t kMostRemembered = 10'000;
constexpr std::size_t kMostWaiting = 32;  // different secrets: some seconds of hashing
constexpr auto kFitRemembered = std::chrono::minutes(1);
constexpr auto kFailureRemembered = std::chrono::seconds(5);

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::string pbkdf2(std::string_view secret, std::string_view salt, int iterations) {
    std::string hash(kHashBytes, '\0');
    if (::PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()), bytes_of(salt),
                            static_cast<int>(salt.size()), iterations, ::EVP_sha256(), kHashBytes,
                            reinterpret_cast<unsigned char*>(hash.data())) != 1)
        throw Error("the secret cannot be hashed");
    return hash;
}

}  // namespace

HashedSecret HashedSecret::of(std::string_view secret, int iterations) {
    HashedSecret made;
    made.salt = random_bytes(16);
    made.iterations = iterations;
    made.hash = pbkdf2(secret, made.salt, iterations);
    return made;
}

/// Runs one after another what is posted to it.
struct SecretChecks::Queue {
    boost::asio::strand<boost::asio::any_io_executor> strand;
};

/// A place among those who wait, as long as it lives.
class SecretChecks::Place {
  public:
    Place(SecretChecks& checks, const std::string& key) : checks_(checks), key_(key) {
        const std::lock_guard lock(checks_.mutex_);
        if (!checks_.waiting_.contains(key) && checks_.waiting_.size() >= kMostWaiting) {
            throw ApiError(429, "es_rejected_execution_exception",
                           "too many passwords wait to be checked; try again")
                .retry_after(1);
        }
        ++checks_.waiting_[key];
    }
    ~Place() {
        const std::lock_guard lock(checks_.mutex_);
        const auto at = checks_.waiting_.find(key_);
        if (--at->second == 0) checks_.waiting_.erase(at);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

  private:
    SecretChecks& checks_;
    const std::string& key_;
};

SecretChecks::SecretChecks() : process_key_(random_bytes(kHashBytes)) {}
SecretChecks::~SecretChecks() = default;

/// A name for all that an answer depends on, of which nothing can be guessed from memory.
std::string SecretChecks::memory_key(const std::string& name, const HashedSecret& hashed,
                                     std::string_view secret) const {
    std::string text = std::to_string(name.size()) + ":" + name;
    text += hashed.hash;
    text += secret;
    std::string key(kHashBytes, '\0');
    unsigned length = 0;
    if (::HMAC(::EVP_sha256(), process_key_.data(), static_cast<int>(process_key_.size()),
               bytes_of(text), text.size(), reinterpret_cast<unsigned char*>(key.data()),
               &length) == nullptr)
        throw Error("the secret cannot be hashed");
    return key;
}

std::optional<bool> SecretChecks::remembered(const std::string& key) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    const auto known = answers_.find(key);
    if (known == answers_.end() || known->second.until <= now) return std::nullopt;
    if (known->second.fits) known->second.until = now + kFitRemembered;
    return known->second.fits;
}

bool SecretChecks::compare(const std::string& key, const HashedSecret& hashed,
                           std::string_view secret) {
    if (const auto known = remembered(key)) return *known;  // asked by those who waited before
    const std::string hash = pbkdf2(secret, hashed.salt, hashed.iterations);
    const bool fits = hash.size() == hashed.hash.size() &&
                      ::CRYPTO_memcmp(hash.data(), hashed.hash.data(), hash.size()) == 0;
    if (!fits && hashed.iterations < kDear) return false;  // as soon tried as looked up
    const auto until = Clock::now() + (fits ? Clock::duration(kFitRemembered)
                                            : Clock::duration(kFailureRemembered));
    const std::lock_guard lock(mutex_);
    if (answers_.size() >= kMostRemembered) answers_.clear();
    answers_.insert_or_assign(key, Answer{fits, until});
    return fits;
}

boost::asio::awaitable<bool> SecretChecks::fits(std::string name, HashedSecret hashed,
                                                std::string secret,
                                                boost::asio::any_io_executor pool) {
    const std::string key = memory_key(name, hashed, secret);
    if (const auto known = remembered(key)) co_return *known;
    if (hashed.iterations < kDear) co_return compare(key, hashed, secret);
    const Place place(*this, key);
    {
        const std::lock_guard lock(mutex_);
        if (!queue_) queue_ = std::make_unique<Queue>(Queue{boost::asio::make_strand(pool)});
    }
    co_return co_await runtime::call_on(queue_->strand,
                                        [&] { return compare(key, hashed, secret); });
}

}  // namespace penstock::serve
