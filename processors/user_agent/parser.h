// What a user agent says of its browser, system and device.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "engine/document/failure.h"
#include "processors/user_agent/cache.h"

namespace penstock::processors {

struct NamedVersion {
    std::string name;
    std::optional<std::string> version;  ///< "10.9.2"
};

/// Each is absent when no expression matches.
struct UserAgent {
    std::optional<NamedVersion> browser;
    std::optional<NamedVersion> system;
    std::optional<NamedVersion> device;  ///< no version
};

/// The expressions of one file in uap-core's format: three lists, of each of which the first that
/// matches names browser, system and device. Thread-safe. Source: the ua-parser specification 0.2.
class UserAgentParser {
  public:
    /// `file` is for messages. `compile_now`: refuse expressions that are none; otherwise each is
    /// compiled when it is first tried. Throws penstock::Error.
    UserAgentParser(std::string_view yaml, const std::string& file, bool compile_now,
                    std::size_t cache_entries);
    ~UserAgentParser();

    /// Fails when an expression gives up on the text.
    document::Result<UserAgentPtr> parse(std::string_view text) const;

  private:
    struct Rules;

    std::unique_ptr<const Rules> rules_;
    mutable UserAgentCache cache_;
};

/// The parsers by the name of their file: the one that comes with the program, and those in a
/// directory. Each is read when it is first asked for and kept as long as this. Thread-safe.
class UserAgentParsers {
  public:
    static constexpr std::size_t default_cache_entries = 1000;
    /// Of the parser that comes with the program, which is also meant by an empty name.
    static constexpr std::string_view built_in = "_default_";

    /// `directory` need not exist.
    explicit UserAgentParsers(std::filesystem::path directory = {},
                              std::size_t cache_entries = default_cache_entries);

    /// Null when there is no such file (`*.yml`). Throws penstock::Error for one that is not as it
    /// must be.
    std::shared_ptr<const UserAgentParser> find(const std::string& file) const;
    const std::filesystem::path& directory() const { return directory_; }

  private:
    std::shared_ptr<const UserAgentParser> load(const std::string& file) const;

    std::filesystem::path directory_;
    std::size_t cache_entries_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::shared_ptr<const UserAgentParser>> parsers_;
};

}  // namespace penstock::processors
