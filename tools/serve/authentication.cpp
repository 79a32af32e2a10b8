#include "tools/serve/authentication.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "engine/document/json_writer.h"
#include "engine/runtime/error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/pipeline_registry.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace fs = std::filesystem;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

// What OWASP asks for passwords; a key of 128 random bits cannot be guessed at any speed.
constexpr int kPasswordIterations = 210'000;
constexpr int kKeyIterations = 1'000;
constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kLeastPassword = 6;  // as Elasticsearch
constexpr std::size_t kMostRemembered = 10'000;
constexpr auto kRemembered = std::chrono::minutes(1);
const std::string kUser = "user:";
const std::string kKey = "key:";

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
        throw Error("the system gives no random numbers");
    return bytes;
}

std::string base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                         reinterpret_cast<const unsigned char*>(bytes.data()),
                                         static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

/// Empty when it is no base64.
std::string from_base64(std::string_view text) {
    std::string bytes(text.size() / 4 * 3, '\0');
    if (text.empty() || text.size() % 4 != 0) return {};
    const int length = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                         reinterpret_cast<const unsigned char*>(text.data()),
                                         static_cast<int>(text.size()));
    if (length < 0) return {};
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    bytes.resize(static_cast<std::size_t>(length) - padding);
    return bytes;
}

/// 22 characters that are the same in URLs and shells.
std::string random_name() {
    std::string text = base64(random_bytes(16)).substr(0, 22);
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

std::string pbkdf2(std::string_view secret, std::string_view salt, int iterations) {
    std::string hash(kHashBytes, '\0');
    if (::PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()),
                            reinterpret_cast<const unsigned char*>(salt.data()),
                            static_cast<int>(salt.size()), iterations, ::EVP_sha256(), kHashBytes,
                            reinterpret_cast<unsigned char*>(hash.data())) != 1)
        throw Error("the secret cannot be hashed");
    return hash;
}

std::string sha256(std::string_view text) {
    std::string hash(kHashBytes, '\0');
    unsigned length = 0;
    ::EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(hash.data()), &length,
                 ::EVP_sha256(), nullptr);
    return hash;
}

std::string text_of(const JsonBody& body, std::string_view name) {
    const document::Value* value = body.find(name);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

std::int64_t number_of(const JsonBody& body, std::string_view name) {
    const document::Value* value = body.find(name);
    return value != nullptr && value->is_integer() ? value->as_integer() : 0;
}

}  // namespace

bool Permissions::allows_index(std::string_view index) const {
    return indices.empty() ||
           std::any_of(indices.begin(), indices.end(), [&](const std::string& pattern) {
               return matches_wildcard(pattern, index);
           });
}

Credentials::Credentials(const fs::path& data)
    : path_(data / "security.json"), file_(path_), process_key_(random_bytes(kHashBytes)) {
    std::lock_guard lock(mutex_);
    refresh();
}

/// Entries are few, and another process (`penstock key create`) may have changed them.
void Credentials::refresh() const {
    std::error_code absent;
    const auto changed_at = fs::last_write_time(path_, absent);
    if (!absent && changed_at == read_at_) return;
    read_at_ = absent ? fs::file_time_type() : changed_at;
    entries_.clear();
    checked_.clear();
    for (const auto& [name, json] : file_.read()) {
        JsonBody body;
        body.parse(json);
        Entry entry;
        entry.secret = {from_base64(text_of(body, "salt")), from_base64(text_of(body, "hash")),
                        static_cast<int>(number_of(body, "iterations"))};
        entry.info.id = name.substr(name.find(':') + 1);
        entry.info.name = text_of(body, "name");
        entry.info.creator = text_of(body, "creator");
        entry.info.created_millis = number_of(body, "created");
        entry.info.expires_millis = number_of(body, "expires");
        const document::Value* read_only = body.find("read_only");
        entry.info.permissions.read_only =
            read_only != nullptr && read_only->is_boolean() && read_only->as_boolean();
        if (const document::Value* indices = body.find("indices");
            indices != nullptr && indices->is_array()) {
            for (const document::Value& one : indices->as_array())
                entry.info.permissions.indices.emplace_back(one.as_string());
        }
        entries_.insert_or_assign(name, std::move(entry));
    }
}

void Credentials::store(const std::string& name, const Entry& entry) {
    std::string json_text;
    document::JsonWriter json(json_text);
    json.object([&] {
        json.member("name", entry.info.name);
        json.member("creator", entry.info.creator);
        json.member("created", entry.info.created_millis);
        json.member("expires", entry.info.expires_millis);
        json.member("read_only", entry.info.permissions.read_only);
        json.member_array("indices", [&] {
            for (const std::string& one : entry.info.permissions.indices)
                json.value(one);
        });
        json.member("salt", base64(entry.secret.salt));
        json.member("hash", base64(entry.secret.hash));
        json.member("iterations", entry.secret.iterations);
    });
    file_.put(name, json_text);
    std::lock_guard lock(mutex_);
    read_at_ = {};
    refresh();
}

bool Credentials::remove(const std::string& name) {
    const bool there = file_.remove(name);
    std::lock_guard lock(mutex_);
    read_at_ = {};
    refresh();
    return there;
}

bool Credentials::empty() const {
    std::lock_guard lock(mutex_);
    refresh();
    return entries_.empty();
}

Credentials::Secret Credentials::hashed(std::string_view secret, int iterations) {
    Secret made;
    made.salt = random_bytes(16);
    made.iterations = iterations;
    made.hash = pbkdf2(secret, made.salt, iterations);
    return made;
}

void Credentials::put_user(const std::string& name, std::string_view password,
                           const Permissions& permissions) {
    if (name.empty() || name.find(':') != std::string::npos)
        throw Error("a user's name must not be empty and have no colon");
    if (password.size() < kLeastPassword)
        throw Error("passwords must be at least [" + std::to_string(kLeastPassword) +
                    "] characters long");
    Entry entry;
    entry.secret = hashed(password, kPasswordIterations);
    entry.info.name = name;
    entry.info.created_millis = milliseconds(system_clock::now());
    entry.info.permissions = permissions;
    store(kUser + name, entry);
}

bool Credentials::remove_user(const std::string& name) {
    return remove(kUser + name);
}

std::vector<std::string> Credentials::users() const {
    std::lock_guard lock(mutex_);
    refresh();
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) {
        if (name.starts_with(kUser)) names.push_back(entry.info.name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

NewApiKey Credentials::create_key(const std::string& name, const std::string& creator,
                                  const Permissions& permissions,
                                  std::optional<std::chrono::milliseconds> lifetime) {
    NewApiKey made;
    made.api_key = random_name();
    Entry entry;
    entry.secret = hashed(made.api_key, kKeyIterations);
    entry.info.id = random_name();
    entry.info.name = name;
    entry.info.creator = creator;
    entry.info.created_millis = milliseconds(system_clock::now());
    if (lifetime) entry.info.expires_millis = entry.info.created_millis + lifetime->count();
    entry.info.permissions = permissions;
    store(kKey + entry.info.id, entry);
    made.info = std::move(entry.info);
    made.encoded = base64(made.info.id + ":" + made.api_key);
    return made;
}

bool Credentials::remove_key(const std::string& id) {
    return remove(kKey + id);
}

std::vector<ApiKeyInfo> Credentials::keys() const {
    std::lock_guard lock(mutex_);
    refresh();
    std::vector<ApiKeyInfo> keys;
    for (const auto& [name, entry] : entries_) {
        if (name.starts_with(kKey)) keys.push_back(entry.info);
    }
    std::sort(keys.begin(), keys.end(), [](const ApiKeyInfo& a, const ApiKeyInfo& b) {
        return a.created_millis < b.created_millis;
    });
    return keys;
}

bool Credentials::fits(const std::string& name, const Entry& entry, std::string_view secret) {
    // Neither the secret nor anything that helps to guess it stays in memory.
    const std::string memory = sha256(process_key_ + name + '\0' + std::string(secret));
    const auto now = steady_clock::now();
    {
        std::lock_guard lock(mutex_);
        const auto known = checked_.find(memory);
        if (known != checked_.end() && known->second > now) return true;
    }
    const std::string hash = pbkdf2(secret, entry.secret.salt, entry.secret.iterations);
    if (hash.size() != entry.secret.hash.size() ||
        ::CRYPTO_memcmp(hash.data(), entry.secret.hash.data(), hash.size()) != 0)
        return false;
    std::lock_guard lock(mutex_);
    if (checked_.size() >= kMostRemembered) checked_.clear();
    checked_.insert_or_assign(memory, now + kRemembered);
    return true;
}

std::shared_ptr<const Principal> Credentials::authenticate(std::string_view authorization) {
    const std::size_t blank = authorization.find(' ');
    if (blank == std::string_view::npos) return nullptr;
    std::string scheme(authorization.substr(0, blank));
    std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (scheme != "basic" && scheme != "apikey") return nullptr;
    const std::string pair = from_base64(authorization.substr(blank + 1));
    const std::size_t colon = pair.find(':');
    if (colon == std::string::npos) return nullptr;
    const std::string name = (scheme == "basic" ? kUser : kKey) + pair.substr(0, colon);
    Entry entry;
    {
        std::lock_guard lock(mutex_);
        refresh();
        const auto found = entries_.find(name);
        if (found == entries_.end()) return nullptr;
        entry = found->second;
    }
    const std::int64_t expires = entry.info.expires_millis;
    if (expires != 0 && expires < milliseconds(system_clock::now())) return nullptr;
    if (!fits(name, entry, std::string_view(pair).substr(colon + 1))) return nullptr;
    auto principal = std::make_shared<Principal>();
    principal->name = scheme == "basic" ? entry.info.name : entry.info.id;
    principal->is_key = scheme == "apikey";
    principal->permissions = entry.info.permissions;
    return principal;
}

}  // namespace penstock::serve
