// What PUT _cluster/settings has said.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "tools/serve/state_file.h"

namespace penstock::serve {

/// Persistent settings lie in a file; transient ones end with the process and win as long as they
/// are there. Thread-safe; the persistent ones block for the file.
class ClusterSettings {
  public:
    using Flat = std::map<std::string, std::string>;  ///< JSON text by dotted name

    explicit ClusterSettings(std::filesystem::path file) : persistent_(std::move(file)) {}

    Flat persistent() const;
    Flat transient() const;
    /// A null takes away: a setting, or with `*` several.
    void put_persistent(const Flat& changes) const;
    void put_transient(const Flat& changes);
    /// The text of one that is in force; `otherwise` when nobody has set it. Blocks.
    std::string text(const std::string& name, std::string otherwise) const;

  private:
    StateFile persistent_;
    mutable std::mutex mutex_;
    Flat transient_;
};

}  // namespace penstock::serve
