// Plugin libraries: loading one, checking its tables, and finding them in directories.
#pragma once

#include <penstock_plugin.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::plugin {

/// A plugin library that passed all checks of its tables. Cheap to copy; immutable. The library
/// itself is never unloaded, since its threads, statics and tables may be in use until the process
/// ends.
///
/// The tables are copies of the size that this host knows: what an older plugin's table lacks is
/// zero, what a newer one has beyond is left out.
class Library {
  public:
    /// Loads `file` (RTLD_NOW, RTLD_LOCAL). Its file format and its entry symbol are checked before
    /// any code of it runs. Throws penstock::Error that says which file, what is wrong and what to
    /// do.
    static Library load(const std::filesystem::path& file);
    /// The same checks on a table in memory (a plugin that is linked in; tests). `file` is for
    /// messages. The table must live until the process ends.
    static Library adopt(const penstock_plugin* table, const std::filesystem::path& file);

    const std::filesystem::path& file() const;
    std::string_view name() const;
    std::string_view version() const;
    std::uint32_t abi_minor() const;  ///< of the header that it was built against
    std::span<const penstock_processor> processors() const;
    std::span<const penstock_backend> backends() const;
    /// To be held around create, destroy, open and close of any of its tables: the ABI promises
    /// plugins one such call at a time.
    std::unique_lock<std::mutex> load_lock() const;

  private:
    struct State;
    explicit Library(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

/// A backend's table and the library that it is in.
struct BackendTable {
    Library library;
    penstock_backend table;
};

/// Whether `name` is [a-z][a-z0-9_]*: what plugins, processors and backends are called.
bool is_plugin_name(std::string_view name);

/// The plugins of some directories. Files are found when it is made and loaded when they are
/// needed:
///  - `penstock_backend_<name>.so` only when the backend <name> is asked for (libtorch takes 300
///  libraries with it);
///  - every other `*.so` by `load`. A `lib*.so` without entry symbol is taken for a dependency and
///  passed over.
/// Thread-safe; loads one library at a time.
class PluginSet {
  public:
    PluginSet() = default;
    /// Throws penstock::Error when a directory cannot be read, or two of them hold a file of the
    /// same name.
    explicit PluginSet(const std::vector<std::filesystem::path>& directories);

    /// Loads one more file, whatever its name.
    void add(const std::filesystem::path& file);
    /// Loads what is not loaded on demand and gives all libraries loaded so far. Throws
    /// penstock::Error with every refusal, a line each; the good ones are loaded all the same.
    std::vector<Library> load();
    /// The backend, from what is loaded already, from its own file, or from the other plugins.
    /// Throws penstock::Error when there is none, naming those that there are.
    BackendTable backend(std::string_view name);
    /// Names of backends that can be asked for without loading anything: of their own files and of
    /// loaded plugins.
    std::vector<std::string> backend_names() const;

  private:
    struct File {
        std::filesystem::path path;
        std::string backend;  // of penstock_backend_<backend>.so; else empty
        bool loaded = false;
    };

    void load_file(File& file);
    void keep(Library library);
    std::vector<std::string> load_others();
    std::optional<BackendTable> loaded_backend(std::string_view name) const;
    std::vector<std::string> known_backends() const;

    std::vector<std::filesystem::path> directories_;
    std::vector<File> files_;
    std::vector<Library> libraries_;
    mutable std::mutex mutex_;
};

}  // namespace penstock::plugin
