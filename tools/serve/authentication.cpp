#include "tools/serve/authentication.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>

#include "engine/document/json_writer.h"
#include "engine/io/json_text.h"
#include "engine/runtime/error.h"
#include "tools/serve/json_body.h"
#include "tools/serve/random_id.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

namespace fs = std::filesystem;
using document::Value;
using std::chrono::system_clock;

namespace {

// What OWASP asks for passwords; a key of 128 random bits cannot be guessed at any speed.
constexpr int kPasswordIterations = 210'000;
constexpr int kKeyIterations = 1'000;
constexpr std::size_t kIdBytes = 16;
constexpr int kMostIterations = 10'000'000;
constexpr std::size_t kLeastPassword = 6;  // as Elasticsearch
const std::string kUser = "user:";
const std::string kKey = "key:";
/// Of the file: stays when the last user or key goes.
const std::string kMarker = "authentication";

[[noreturn]] void bad_member(std::string_view name) {
    throw Error("[" + std::string(name) + "] is missing or wrong");
}

std::string text_of(const JsonBody& body, std::string_view name) {
    const Value* value = body.find(name);
    if (value == nullptr || !value->is_string()) bad_member(name);
    return std::string(value->as_string());
}

std::int64_t number_of(const JsonBody& body, std::string_view name) {
    const Value* value = body.find(name);
    if (value == nullptr || !value->is_integer()) bad_member(name);
    return value->as_integer();
}

HashedSecret secret_of(const JsonBody& body) {
    const std::optional<std::string> salt = io::base64_decode(text_of(body, "salt"));
    const std::optional<std::string> hash = io::base64_decode(text_of(body, "hash"));
    if (!salt || salt->empty()) bad_member("salt");
    if (!hash || hash->empty()) bad_member("hash");
    const std::int64_t iterations = number_of(body, "iterations");
    if (iterations <= 0 || iterations > kMostIterations) bad_member("iterations");
    return {*salt, *hash, static_cast<int>(iterations)};
}

/// Files of before there were roles have `read_only` and `indices` instead.
Permissions permissions_of(const JsonBody& body) {
    if (const Value* roles = body.find("role_descriptors")) return Permissions::of_roles(*roles);
    const Value* read_only = body.find("read_only");
    if (read_only == nullptr || !read_only->is_boolean()) bad_member("read_only");
    const Value* indices = body.find("indices");
    if (indices == nullptr || !indices->is_array()) bad_member("indices");
    std::vector<std::string> names;
    for (const Value& name : indices->as_array()) {
        if (!name.is_string()) bad_member("indices");
        names.emplace_back(name.as_string());
    }
    return Permissions::of(read_only->as_boolean(), names);
}

ApiKeyInfo info_of(const std::string& name, const JsonBody& body) {
    ApiKeyInfo info;
    info.id = name.substr(name.find(':') + 1);
    info.name = text_of(body, "name");
    info.creator = text_of(body, "creator");
    info.created_millis = number_of(body, "created");
    info.expires_millis = number_of(body, "expires");
    info.permissions = permissions_of(body);
    if (const Value* metadata = body.find("metadata")) {
        if (!metadata->is_object()) bad_member("metadata");
        info.metadata = json_text(*metadata);
    }
    return info;
}

}  // namespace

bool ApiKeyInfo::expired() const {
    return expires_millis != 0 && expires_millis < milliseconds(system_clock::now());
}

Credentials::Credentials(const fs::path& data) : path_(data / "security.json"), file_(path_) {
    try {
        load(version());
    } catch (const Error& error) {
        throw Error(std::string(error.what()) +
                    " (without this file nobody has to say who they are)");
    }
}

Credentials::Version Credentials::version() const {
    struct ::stat found {};
    if (::stat(path_.c_str(), &found) != 0) return {};
    return {found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_ino, found.st_size};
}

/// All of the file or nothing of it. `found` is older than what is read, so that a file that is
/// replaced meanwhile is read again.
void Credentials::load(const Version& found) const {
    Entries entries;
    bool marked = false;
    for (const auto& [name, json] : file_.read()) {
        if (name == kMarker) {
            marked = true;
            continue;
        }
        try {
            JsonBody body;
            body.parse(json);
            entries.emplace(name,
                            std::make_shared<Entry>(Entry{secret_of(body), info_of(name, body)}));
        } catch (const std::exception& error) {
            throw Error(path_.native() + " is damaged; restore it: [" + name +
                        "]: " + error.what());
        }
    }
    entries_ = std::move(entries);
    required_ = required_ || marked || !entries_.empty();
    read_ = found;
}

/// Entries are few, and another process (`penstock key create`) may have changed them.
void Credentials::refresh() const {
    const Version found = version();
    if (read_ && *read_ == found) return;
    try {
        load(found);
        if (required_ && found.size < 0)
            spdlog::warn(
                "{} is gone: nobody is let in until it is there again, or the server is "
                "started anew without it",
                path_.native());
    } catch (const std::exception& error) {
        if (!reported_ || *reported_ != found)
            spdlog::error("{}; users and keys stay as they were", error.what());
        reported_ = found;
    }
}

std::shared_ptr<const Credentials::Entry> Credentials::find(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    refresh();
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : found->second;
}

void Credentials::store(const std::string& name, const Entry& entry) {
    std::string json_text;
    document::JsonWriter json(json_text);
    json.object([&] {
        json.member("name", entry.info.name);
        json.member("creator", entry.info.creator);
        json.member("created", entry.info.created_millis);
        json.member("expires", entry.info.expires_millis);
        json.member_raw("role_descriptors", entry.info.permissions.role_descriptors());
        json.member_raw("metadata", entry.info.metadata);
        json.member("salt", io::base64(entry.secret.salt, false));
        json.member("hash", io::base64(entry.secret.hash, false));
        json.member("iterations", entry.secret.iterations);
    });
    file_.put(kMarker, R"({"required":true})");
    file_.put(name, json_text);
    const std::lock_guard lock(mutex_);
    read_.reset();
    refresh();
}

bool Credentials::remove(const std::string& name) {
    if (!find(name)) return false;
    file_.put(kMarker, R"({"required":true})");  // files of older versions have none
    const bool there = file_.remove(name);
    const std::lock_guard lock(mutex_);
    read_.reset();
    refresh();
    return there;
}

bool Credentials::empty() const {
    const std::lock_guard lock(mutex_);
    refresh();
    return entries_.empty();
}

bool Credentials::required() const {
    const std::lock_guard lock(mutex_);
    refresh();
    return required_;
}

void Credentials::put_user(const std::string& name, std::string_view password,
                           const std::optional<Permissions>& permissions) {
    if (name.empty() || name.find(':') != std::string::npos)
        throw Error("a user's name must not be empty and have no colon");
    if (password.size() < kLeastPassword)
        throw Error("passwords must be at least [" + std::to_string(kLeastPassword) +
                    "] characters long");
    const auto known = find(kUser + name);
    Entry entry;
    if (known) {
        entry.info = known->info;
    } else {
        entry.info.name = name;
        entry.info.created_millis = milliseconds(system_clock::now());
        entry.info.permissions = Permissions::everything();
    }
    if (permissions) entry.info.permissions = *permissions;
    entry.secret = HashedSecret::of(password, kPasswordIterations);
    store(kUser + name, entry);
}

bool Credentials::remove_user(const std::string& name) {
    return remove(kUser + name);
}

std::vector<std::string> Credentials::users() const {
    const std::lock_guard lock(mutex_);
    refresh();
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) {
        if (name.starts_with(kUser)) names.push_back(entry->info.name);
    }
    return names;
}

NewApiKey Credentials::create_key(ApiKeyRequest&& request) {
    NewApiKey made;
    made.api_key = random_id(kIdBytes);
    made.info.id = random_id(kIdBytes);
    made.info.name = std::move(request.name);
    made.info.creator = std::move(request.creator);
    made.info.created_millis = milliseconds(system_clock::now());
    if (request.lifetime)
        made.info.expires_millis = made.info.created_millis + request.lifetime->count();
    made.info.permissions = std::move(request.permissions);
    made.info.metadata = std::move(request.metadata);
    store(kKey + made.info.id, {HashedSecret::of(made.api_key, kKeyIterations), made.info});
    made.encoded = io::base64(made.info.id + ":" + made.api_key, false);
    return made;
}

bool Credentials::remove_key(const std::string& id) {
    return remove(kKey + id);
}

std::vector<ApiKeyInfo> Credentials::keys() const {
    std::vector<ApiKeyInfo> keys;
    {
        const std::lock_guard lock(mutex_);
        refresh();
        for (const auto& [name, entry] : entries_) {
            if (name.starts_with(kKey)) keys.push_back(entry->info);
        }
    }
    std::sort(keys.begin(), keys.end(), [](const ApiKeyInfo& a, const ApiKeyInfo& b) {
        return a.created_millis < b.created_millis;
    });
    return keys;
}

boost::asio::awaitable<std::shared_ptr<const Principal>> Credentials::authenticate(
    std::string authorization, boost::asio::any_io_executor pool) {
    const std::size_t blank = authorization.find(' ');
    if (blank == std::string::npos) co_return nullptr;
    std::string scheme = authorization.substr(0, blank);
    std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool is_user = scheme == "basic";
    if (!is_user && scheme != "apikey") co_return nullptr;
    const auto pair = io::base64_decode(std::string_view(authorization).substr(blank + 1));
    const std::size_t colon = pair ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos) co_return nullptr;
    const std::string name = (is_user ? kUser : kKey) + pair->substr(0, colon);
    const std::shared_ptr<const Entry> entry = find(name);
    // Whoever is unknown costs the same time, and fits no hash.
    static const HashedSecret nobody{std::string(16, '\0'), std::string(32, '\0'),
                                     kPasswordIterations};
    HashedSecret secret = entry ? entry->secret : nobody;
    if (!entry && !is_user) secret.iterations = kKeyIterations;
    const bool fits =
        co_await checks_.fits(name, std::move(secret), pair->substr(colon + 1), std::move(pool));
    if (!entry || !fits || entry->info.expired()) co_return nullptr;
    co_return std::make_shared<Principal>(
        Principal{is_user ? entry->info.name : entry->info.id, !is_user, entry->info.permissions});
}

}  // namespace penstock::serve
