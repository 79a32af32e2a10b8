// Small states that survive a restart: named JSON values in one file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace penstock::serve {

/// The values of one file, by name. Every call reads or replaces the whole file, which suits what
/// people change by hand: aliases, settings, the deployments to run. Several objects, threads and
/// processes may use one file: a change is made under the file's lock. Blocks.
class StateFile {
  public:
    using States = std::map<std::string, std::string, std::less<>>;  ///< JSON text by name

    explicit StateFile(std::filesystem::path file) : file_(std::move(file)) {}

    /// Empty when there is no file. Throws penstock::Error for one that is damaged.
    States read() const;
    /// Adds or replaces. `json` is valid JSON.
    void put(const std::string& name, std::string_view json) const;
    /// False when there was none.
    bool remove(const std::string& name) const;

  private:
    void write(const States& states) const;

    std::filesystem::path file_;
};

}  // namespace penstock::serve
