#include "engine/plugin/loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/plugin/elf.h"
#include "engine/runtime/error.h"

namespace fs = std::filesystem;

namespace penstock::plugin {
namespace {

constexpr char entry_symbol[] = "penstock_plugin_v1";
static_assert(PENSTOCK_ABI_MAJOR == 1, "entry_symbol carries the major version");

// Sizes of the tables of minor version 0: no plugin of this major version has smaller ones.
constexpr std::size_t plugin_size_1_0 = offsetof(penstock_plugin, backends) + sizeof(void*);
constexpr std::size_t processor_size_1_0 = offsetof(penstock_processor, run) + sizeof(void*);
constexpr std::size_t backend_size_1_0 = offsetof(penstock_backend, run) + sizeof(void*);
// Far above any table that will be; what is larger is not a table.
constexpr std::size_t largest_table = 64 * 1024;
constexpr std::size_t most_entries = 10'000;

constexpr std::uint32_t known_processor_flags = PENSTOCK_SINGLE_THREADED;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
    throw Error("cannot load plugin " + file.string() + ": " + why);
}

std::string_view view(penstock_str text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

/// Checks tables of one plugin; `what` names the table in messages.
class Checker {
  public:
    explicit Checker(const fs::path& file) : file_(file) {}

    [[noreturn]] void refuse(const std::string& why) const { plugin::refuse(file_, why); }

    /// The part of a table that both sides know; the rest is zero.
    template <class Table>
    Table copy(const Table* table, std::size_t smallest, const std::string& what) const {
        if (!table) refuse(what + " is null; the plugin is faulty");
        std::uint32_t size = 0;
        std::memcpy(&size, table, sizeof size);
        if (size < smallest || size > largest_table) {
            refuse(what + " says that it has " + std::to_string(size) + " bytes, where at least " +
                   std::to_string(smallest) + " are needed; set its size to sizeof");
        }
        Table out{};
        std::memcpy(&out, table, std::min<std::size_t>(size, sizeof out));
        return out;
    }

    template <class Function>
    void function(Function* pointer, const std::string& what, const char* entry) const {
        if (!pointer) refuse(what + " has no function " + entry + "; the plugin is faulty");
    }

    void text(penstock_str value, const std::string& what) const {
        if (!value.data || value.size == 0) refuse(what + " is empty; the plugin is faulty");
    }

    void name(penstock_str value, const std::string& what) const {
        text(value, what);
        if (!is_plugin_name(view(value))) {
            refuse(what + " is [" + std::string(view(value)) +
                   "], where lower-case letters, digits and _ are allowed, a letter first");
        }
    }

    template <class Table>
    void entries(const Table* const* tables, std::size_t count, const char* what) const {
        if (count > most_entries) {
            refuse("it says that it has " + std::to_string(count) + " " + what +
                   "; the plugin is faulty");
        }
        if (count > 0 && !tables) {
            refuse(std::string("its list of ") + what + " is null; the plugin is faulty");
        }
    }

  private:
    const fs::path& file_;
};

penstock_processor check_processor(const Checker& check, const penstock_processor* table,
                                   std::size_t number) {
    const std::string what = "processor " + std::to_string(number + 1);
    const auto processor = check.copy(table, processor_size_1_0, what);
    check.text(processor.spec, "the specification of " + what);
    check.function(processor.create, what, "create");
    check.function(processor.destroy, what, "destroy");
    check.function(processor.run, what, "run");
    if (const auto unknown = processor.flags & ~known_processor_flags) {
        check.refuse(what + " has flags that this host does not know (" + std::to_string(unknown) +
                     "); update Penstock");
    }
    return processor;
}

penstock_backend check_backend(const Checker& check, const penstock_backend* table,
                               std::size_t number) {
    std::string what = "backend " + std::to_string(number + 1);
    const auto backend = check.copy(table, backend_size_1_0, what);
    check.name(backend.name, "the name of " + what);
    what = "backend [" + std::string(view(backend.name)) + "]";
    check.function(backend.open, what, "open");
    check.function(backend.info, what, "info");
    check.function(backend.close, what, "close");
    check.function(backend.session_open, what, "session_open");
    check.function(backend.session_close, what, "session_close");
    check.function(backend.run, what, "run");
    return backend;
}

std::string wrong_major(const std::vector<std::uint32_t>& majors) {
    if (majors.empty()) {
        return std::string("it does not export ") + entry_symbol +
               "; it is not a Penstock plugin, or was linked without its entry (build it with "
               "penstock_add_plugin)";
    }
    std::string names;
    for (std::uint32_t major : majors) {
        if (!names.empty()) names += ", ";
        names += "penstock_plugin_v" + std::to_string(major);
    }
    const bool newer = majors.front() > PENSTOCK_ABI_MAJOR;
    return "it exports " + names + ", and this host loads " + entry_symbol + "; use " +
           (newer ? "a newer Penstock, or an older build of the plugin"
                  : "a newer build of the plugin");
}

/// What can be said before any of its code runs.
void check_file(const fs::path& file) {
    std::error_code error;
    const auto status = fs::status(file, error);
    if (!fs::exists(status)) refuse(file, "there is no such file");
    if (fs::is_directory(status)) {
        refuse(file, "it is a directory; name it as a plugin directory, or name a file in it");
    }
    if (!fs::is_regular_file(status)) refuse(file, "it is not a regular file");
    const LibraryFile found = inspect_library(file);
    if (!found.problem.empty()) refuse(file, found.problem);
    if (found.majors &&
        !std::count(found.majors->begin(), found.majors->end(), PENSTOCK_ABI_MAJOR)) {
        refuse(file, wrong_major(*found.majors));
    }
}

std::string list(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) {
        if (!out.empty()) out += ", ";
        out += name;
    }
    return out;
}

/// The <name> of penstock_backend_<name>.so, else empty.
std::string backend_of(const fs::path& file) {
    constexpr std::string_view prefix = "penstock_backend_";
    const std::string stem = file.stem().string();
    if (stem.compare(0, prefix.size(), prefix) != 0) return {};
    std::string name = stem.substr(prefix.size());
    return is_plugin_name(name) ? name : std::string();
}

/// Whether a file is only there because plugins link to it.
bool is_dependency(const fs::path& file) {
    if (file.filename().string().compare(0, 3, "lib") != 0) return false;
    const LibraryFile found = inspect_library(file);
    return found.problem.empty() && found.majors && found.majors->empty();
}

std::vector<fs::path> libraries_in(const fs::path& directory) {
    std::error_code error;
    std::vector<fs::path> out;
    fs::directory_iterator entries(directory, error);
    if (error) {
        throw Error("cannot read plugin directory " + directory.string() + ": " + error.message());
    }
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
        if (entries->path().extension() == ".so") out.push_back(entries->path());
        if (error) break;
    }
    if (error) {
        throw Error("cannot read plugin directory " + directory.string() + ": " + error.message());
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace

bool is_plugin_name(std::string_view name) {
    const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
    return !name.empty() && lower(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; });
}

struct Library::State {
    fs::path file;
    penstock_plugin plugin{};
    std::vector<penstock_processor> processors;
    std::vector<penstock_backend> backends;
    mutable std::mutex load_mutex;
};

Library Library::load(const fs::path& file) {
    check_file(file);
    // A name without a slash would be searched for along the system's library path.
    const fs::path absolute = fs::absolute(file);
    void* handle = ::dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char* reason = ::dlerror();
        refuse(file, reason ? reason : "the dynamic loader gives no reason");
    }
    // From here on the library stays, whatever becomes of it: its constructors have run.
    void* symbol = ::dlsym(handle, entry_symbol);
    if (!symbol) refuse(file, wrong_major({}));
    const auto entry = reinterpret_cast<decltype(&penstock_plugin_v1)>(symbol);
    return adopt(entry(), file);
}

Library Library::adopt(const penstock_plugin* table, const fs::path& file) {
    const Checker check(file);
    auto state = std::make_shared<State>();
    state->file = file;
    state->plugin = check.copy(table, plugin_size_1_0, "the plugin's table");
    const penstock_plugin& plugin = state->plugin;
    if (plugin.required_minor > PENSTOCK_ABI_MINOR) {
        const auto version = [](std::uint32_t minor) {
            return std::to_string(PENSTOCK_ABI_MAJOR) + "." + std::to_string(minor);
        };
        check.refuse("it needs plugin ABI " + version(plugin.required_minor) +
                     ", and this host has " + version(PENSTOCK_ABI_MINOR) +
                     "; use a newer Penstock, or an older release of it");
    }
    check.name(plugin.name, "the plugin's name");
    check.text(plugin.version, "the plugin's version");
    check.entries(plugin.processors, plugin.processor_count, "processors");
    check.entries(plugin.backends, plugin.backend_count, "backends");
    for (std::size_t i = 0; i < plugin.processor_count; ++i) {
        state->processors.push_back(check_processor(check, plugin.processors[i], i));
    }
    for (std::size_t i = 0; i < plugin.backend_count; ++i) {
        const penstock_backend backend = check_backend(check, plugin.backends[i], i);
        for (const penstock_backend& other : state->backends) {
            if (view(other.name) != view(backend.name)) continue;
            check.refuse("it has two backends [" + std::string(view(other.name)) +
                         "]; the plugin is faulty");
        }
        state->backends.push_back(backend);
    }
    return Library(std::move(state));
}

const fs::path& Library::file() const {
    return state_->file;
}
std::string_view Library::name() const {
    return view(state_->plugin.name);
}
std::string_view Library::version() const {
    return view(state_->plugin.version);
}
std::uint32_t Library::abi_minor() const {
    return state_->plugin.abi_minor;
}
std::span<const penstock_processor> Library::processors() const {
    return state_->processors;
}
std::span<const penstock_backend> Library::backends() const {
    return state_->backends;
}
std::unique_lock<std::mutex> Library::load_lock() const {
    return std::unique_lock(state_->load_mutex);
}

PluginSet::PluginSet(const std::vector<fs::path>& directories) {
    for (const fs::path& directory : directories) {
        std::error_code error;
        const bool again = std::any_of(
            directories_.begin(), directories_.end(),
            [&](const fs::path& other) { return fs::equivalent(other, directory, error); });
        if (again) continue;
        directories_.push_back(directory);
        for (fs::path& path : libraries_in(directory)) {
            if (is_dependency(path)) continue;
            const auto same = std::find_if(files_.begin(), files_.end(), [&](const File& file) {
                return file.path.filename() == path.filename();
            });
            if (same != files_.end()) {
                throw Error("plugin " + path.filename().string() + " is there twice, as " +
                            same->path.string() + " and " + path.string() + "; remove one of them");
            }
            std::string backend = backend_of(path);
            files_.push_back({std::move(path), std::move(backend), false});
        }
    }
}

void PluginSet::add(const fs::path& file) {
    const std::lock_guard lock(mutex_);
    keep(Library::load(file));
}

std::vector<Library> PluginSet::load() {
    const std::lock_guard lock(mutex_);
    const std::vector<std::string> refusals = load_others();
    if (!refusals.empty()) {
        std::string text;
        for (const std::string& refusal : refusals) {
            if (!text.empty()) text += '\n';
            text += refusal;
        }
        throw Error(text);
    }
    return libraries_;
}

BackendTable PluginSet::backend(std::string_view name) {
    const std::lock_guard lock(mutex_);
    if (auto found = loaded_backend(name)) return *std::move(found);
    for (File& file : files_) {
        if (file.backend != name) continue;
        load_file(file);
        if (auto found = loaded_backend(name)) return *std::move(found);
        refuse(file.path, "its file name promises the backend [" + file.backend +
                              "], which it does not have; rename it");
    }
    const std::vector<std::string> refusals = load_others();
    if (auto found = loaded_backend(name)) return *std::move(found);

    std::string text = "there is no inference backend [" + std::string(name) + "]";
    const std::vector<std::string> known = known_backends();
    if (!known.empty()) text += " (there is " + list(known) + ")";
    text += ": no penstock_backend_" + std::string(name) + ".so in ";
    std::vector<std::string> places;
    for (const fs::path& directory : directories_)
        places.push_back(directory.string());
    text += places.empty() ? "any plugin directory, since none is configured" : list(places);
    for (const std::string& refusal : refusals)
        text += "\n" + refusal;
    throw Error(text);
}

std::vector<std::string> PluginSet::backend_names() const {
    const std::lock_guard lock(mutex_);
    return known_backends();
}

void PluginSet::load_file(File& file) {
    if (file.loaded) return;
    keep(Library::load(file.path));
    file.loaded = true;
}

void PluginSet::keep(Library library) {
    for (const Library& other : libraries_) {
        if (other.name() == library.name()) {
            refuse(library.file(), "its plugin name [" + std::string(library.name()) +
                                       "] is taken by " + other.file().string() +
                                       "; remove one of them");
        }
        for (const penstock_backend& backend : library.backends()) {
            for (const penstock_backend& taken : other.backends()) {
                if (view(taken.name) != view(backend.name)) continue;
                refuse(library.file(), "its backend [" + std::string(view(backend.name)) +
                                           "] is in " + other.file().string() +
                                           " already; remove one of them");
            }
        }
    }
    libraries_.push_back(std::move(library));
}

std::vector<std::string> PluginSet::load_others() {
    std::vector<std::string> refusals;
    for (File& file : files_) {
        if (!file.backend.empty()) continue;
        try {
            load_file(file);
        } catch (const Error& error) {
            refusals.emplace_back(error.what());
        }
    }
    return refusals;
}

std::optional<BackendTable> PluginSet::loaded_backend(std::string_view name) const {
    for (const Library& library : libraries_) {
        for (const penstock_backend& backend : library.backends()) {
            if (view(backend.name) == name) return BackendTable{library, backend};
        }
    }
    return std::nullopt;
}

std::vector<std::string> PluginSet::known_backends() const {
    std::vector<std::string> names;
    for (const File& file : files_) {
        if (!file.backend.empty()) names.push_back(file.backend);
    }
    for (const Library& library : libraries_) {
        for (const penstock_backend& backend : library.backends()) {
            names.emplace_back(view(backend.name));
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

}  // namespace penstock::plugin
