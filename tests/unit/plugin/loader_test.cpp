#include "engine/plugin/loader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "engine/plugin/elf.h"
#include "engine/runtime/error.h"

namespace fs = std::filesystem;

namespace penstock::plugin {
namespace {

const fs::path test_plugins = fs::path(PENSTOCK_BINARY_DIR) / "tests/plugins";
const fs::path samples = fs::path(PENSTOCK_BINARY_DIR) / "plugins";
const fs::path fake = test_plugins / "penstock_backend_fake.so";

/// The message with which `action` is refused; empty when it is not.
std::string refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

std::string load_refusal(const fs::path& file) {
    return refusal([&] { Library::load(file); });
}

void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "[" << part << "] is not in: " << text;
}

/// A folder of its own for each test, gone afterwards.
class Loader : public ::testing::Test {
  protected:
    Loader() {
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        folder = fs::temp_directory_path() / ("penstock_loader_" + std::string(test->name()) + "_" +
                                              std::to_string(::getpid()));
        fs::remove_all(folder);
        fs::create_directories(folder);
    }
    ~Loader() override { fs::remove_all(folder); }

    fs::path write(const std::string& name, const std::string& content) const {
        std::ofstream(folder / name, std::ios::binary) << content;
        return folder / name;
    }
    fs::path link(const fs::path& target, const std::string& name) const {
        fs::create_symlink(target, folder / name);
        return folder / name;
    }
    static std::string read(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    fs::path folder;
};

// ---- files

TEST_F(Loader, loads_a_plugin) {
    const Library library = Library::load(samples / "penstock_lookup.so");
    EXPECT_EQ(library.name(), "lookup");
    EXPECT_EQ(library.version(), "1.0.0");
    EXPECT_EQ(library.file(), samples / "penstock_lookup.so");
    EXPECT_EQ(library.processors().size(), 1u);
    EXPECT_TRUE(library.backends().empty());
}

TEST_F(Loader, loads_by_a_relative_path_without_a_slash) {
    const fs::path before = fs::current_path();
    fs::current_path(samples);
    const std::string why = load_refusal("penstock_uppercase_words.so");
    fs::current_path(before);
    EXPECT_EQ(why, "");
}

TEST_F(Loader, loads_a_plugin_of_a_later_minor_version_with_larger_tables) {
    const Library library = Library::load(test_plugins / "newer/penstock_newer.so");
    EXPECT_EQ(library.name(), "newer");
    EXPECT_EQ(library.abi_minor(), 7u);
}

TEST_F(Loader, says_why_it_refuses_a_file) {
    const std::string text = "#!/bin/sh\necho no library\n";
    std::string other_machine = read(fake).substr(0, 64);
    other_machine[18] = static_cast<char>(0xF3);  // e_machine
    std::string program = read(fake);
    program[16] = 2;  // e_type: an executable
    const std::pair<fs::path, const char*> cases[] = {
        {folder / "absent.so", "there is no such file"},
        {folder, "it is a directory; name it as a plugin directory, or name a file in it"},
        {"/dev/null", "it is not a regular file"},
        {write("empty.so", ""), "it is not a shared library (no ELF header)"},
        {write("text.so", text), "it is not a shared library (no ELF header)"},
        {write("long_text.so", text + std::string(500, 'x')),
         "it is not a shared library (no ELF header)"},
        {write("magic.so",
               "\x7f"
               "ELF"),
         "it is cut off: 4 bytes of at least 64; copy it again"},
        {write("half.so", read(fake).substr(0, fs::file_size(fake) / 2)), "it is cut off: "},
        {write("other.so", other_machine), "it is built for another kind of machine"},
        {write("program.so", program), "it is an ELF file, but not a shared library"},
        {test_plugins / "no_entry/penstock_no_entry.so", "it does not export penstock_plugin_v1; "},
        {test_plugins / "other_major/penstock_other_major.so",
         "it exports penstock_plugin_v2, and this host loads penstock_plugin_v1; use a newer "
         "Penstock"},
        {test_plugins / "null_table/penstock_null_table.so", "the plugin's table is null"},
        {test_plugins / "unresolved/penstock_unresolved.so", "penstock_function_that_nobody_has"},
    };
    for (const auto& [file, why] : cases) {
        const std::string message = load_refusal(file);
        expect_contains(message, "cannot load plugin " + file.string() + ": ");
        expect_contains(message, why);
    }
}

TEST_F(Loader, inspects_any_cut_of_a_library_without_running_it) {
    const std::string whole = read(samples / "penstock_uppercase_words.so");
    ASSERT_GT(whole.size(), 1000u);
    const auto good = inspect_library(samples / "penstock_uppercase_words.so");
    EXPECT_EQ(good.problem, "");
    EXPECT_EQ(good.majors, std::vector<std::uint32_t>{1});
    for (std::size_t size = 0; size < whole.size(); size += 1 + size / 16) {
        EXPECT_NE(inspect_library(write("cut.so", whole.substr(0, size))).problem, "") << size;
    }
}

TEST_F(Loader, inspects_damaged_headers_without_reading_out_of_bounds) {
    const std::string whole = read(samples / "penstock_uppercase_words.so");
    const std::size_t header = 64;
    int refused = 0;
    for (std::size_t at = 16; at < header; ++at) {
        for (const char byte : {'\x00', '\x7f', '\xff'}) {
            std::string damaged = whole;
            damaged[at] = byte;
            const LibraryFile found = inspect_library(write("damaged.so", damaged));
            if (!found.problem.empty()) ++refused;
        }
    }
    EXPECT_GT(refused, 40);
    // Section headers, the last thing in the file: wherever they point, only majors may be lost.
    for (std::size_t at = whole.size() - 64 * 6; at < whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = '\xff';
        (void)inspect_library(write("damaged.so", damaged));
    }
}

// ---- tables

void* create(const penstock_host*, penstock_load*, penstock_str) {
    return nullptr;
}
void release(void*) {}
penstock_status run(void*, penstock_doc*) {
    return PENSTOCK_OK;
}
void* open(const penstock_backend_host*, penstock_model_error*, penstock_str, penstock_str) {
    return nullptr;
}
penstock_status info(void*, penstock_model_info*) {
    return PENSTOCK_OK;
}
void* session_open(void*, penstock_model_error*, std::int32_t) {
    return nullptr;
}
penstock_status run_batch(void*, penstock_model_error*, const penstock_batch*, penstock_result*) {
    return PENSTOCK_OK;
}

/// A good plugin, to be spoilt.
struct Tables {
    penstock_processor processor{
        sizeof(penstock_processor), 0, PENSTOCK_STR("{}"), create, release, run};
    penstock_backend backend{sizeof(penstock_backend),
                             0,
                             PENSTOCK_STR("none"),
                             open,
                             info,
                             release,
                             session_open,
                             release,
                             run_batch};
    const penstock_processor* processors[1] = {&processor};
    const penstock_backend* backends[2] = {&backend, &backend};
    penstock_plugin plugin{sizeof(penstock_plugin),
                           PENSTOCK_ABI_MINOR,
                           0,
                           0,
                           PENSTOCK_STR("good"),
                           PENSTOCK_STR("1.0"),
                           1,
                           processors,
                           1,
                           backends};
};

penstock_str text(const char* value) {
    return {value, std::strlen(value)};
}

TEST_F(Loader, adopts_a_table) {
    Tables tables;
    const Library library = Library::adopt(&tables.plugin, "memory");
    EXPECT_EQ(library.name(), "good");
    ASSERT_EQ(library.backends().size(), 1u);
    EXPECT_EQ(library.backends()[0].run, run_batch);
}

TEST_F(Loader, says_why_it_refuses_a_table) {
    const std::pair<std::function<void(Tables&)>, const char*> cases[] = {
        {[](Tables& t) { t.plugin.size = 0; },
         "the plugin's table says that it has 0 bytes, where at least 80 are needed"},
        {[](Tables& t) { t.plugin.size = sizeof(penstock_plugin) - 1; },
         "says that it has 79 bytes"},
        {[](Tables& t) { t.plugin.size = 0xFFFFFFFF; }, "says that it has 4294967295 bytes"},
        {[](Tables& t) { t.plugin.required_minor = PENSTOCK_ABI_MINOR + 3; },
         "it needs plugin ABI 1.3, and this host has 1.0; use a newer Penstock"},
        {[](Tables& t) { t.plugin.name = text("Good"); },
         "the plugin's name is [Good], where lower-case letters"},
        {[](Tables& t) { t.plugin.name = text("1good"); }, "the plugin's name is [1good]"},
        {[](Tables& t) { t.plugin.name = text("go-od"); }, "the plugin's name is [go-od]"},
        {[](Tables& t) { t.plugin.name = text(""); }, "the plugin's name is empty"},
        {[](Tables& t) {
             t.plugin.name = {nullptr, 4};
         },
         "the plugin's name is empty"},
        {[](Tables& t) {
             t.plugin.version = {nullptr, 0};
         },
         "the plugin's version is empty"},
        {[](Tables& t) { t.plugin.processors = nullptr; }, "its list of processors is null"},
        {[](Tables& t) { t.plugin.backends = nullptr; }, "its list of backends is null"},
        {[](Tables& t) { t.plugin.processor_count = 1u << 30; },
         "it says that it has 1073741824 processors"},
        {[](Tables& t) { t.processors[0] = nullptr; }, "processor 1 is null"},
        {[](Tables& t) { t.processor.size = 40; }, "processor 1 says that it has 40 bytes"},
        {[](Tables& t) {
             t.processor.spec = {nullptr, 0};
         },
         "the specification of processor 1 is empty"},
        {[](Tables& t) { t.processor.create = nullptr; }, "processor 1 has no function create"},
        {[](Tables& t) { t.processor.destroy = nullptr; }, "processor 1 has no function destroy"},
        {[](Tables& t) { t.processor.run = nullptr; }, "processor 1 has no function run"},
        {[](Tables& t) { t.processor.flags = 6; },
         "processor 1 has flags that this host does not know (6)"},
        {[](Tables& t) { t.backends[0] = nullptr; }, "backend 1 is null"},
        {[](Tables& t) { t.backend.size = 8; }, "backend 1 says that it has 8 bytes"},
        {[](Tables& t) { t.backend.name = text("No"); }, "the name of backend 1 is [No]"},
        {[](Tables& t) { t.backend.open = nullptr; }, "backend [none] has no function open"},
        {[](Tables& t) { t.backend.info = nullptr; }, "backend [none] has no function info"},
        {[](Tables& t) { t.backend.close = nullptr; }, "backend [none] has no function close"},
        {[](Tables& t) { t.backend.session_open = nullptr; },
         "backend [none] has no function session_open"},
        {[](Tables& t) { t.backend.session_close = nullptr; },
         "backend [none] has no function session_close"},
        {[](Tables& t) { t.backend.run = nullptr; }, "backend [none] has no function run"},
        {[](Tables& t) { t.plugin.backend_count = 2; }, "it has two backends [none]"},
    };
    for (const auto& [spoil, why] : cases) {
        Tables tables;
        spoil(tables);
        const std::string message = refusal([&] { Library::adopt(&tables.plugin, "memory"); });
        expect_contains(message, "cannot load plugin memory: ");
        expect_contains(message, why);
    }
    expect_contains(refusal([] { Library::adopt(nullptr, "memory"); }),
                    "the plugin's table is null");
}

TEST_F(Loader, names) {
    for (const char* name : {"a", "uppercase_words", "a1", "x__"})
        EXPECT_TRUE(is_plugin_name(name)) << name;
    for (const char* name : {"", "A", "1a", "_a", "a-b", "a b", "\xc3\xa9", "a."})
        EXPECT_FALSE(is_plugin_name(name)) << name;
}

// ---- directories

TEST_F(Loader, a_set_loads_a_backend_by_its_file_name_and_nothing_else) {
    link(fake, "penstock_backend_fake.so");
    link(test_plugins / "null_table/penstock_null_table.so",
         "penstock_null_table.so");  // would be refused
    write("penstock_backend_torch.so", "never looked at");
    write("README.txt", "not a plugin");
    PluginSet plugins({folder});
    EXPECT_EQ(plugins.backend_names(), (std::vector<std::string>{"fake", "torch"}));
    const BackendTable backend = plugins.backend("fake");
    EXPECT_EQ(backend.library.name(), "fake_backend");
    EXPECT_EQ(plugins.backend("fake").table.open, backend.table.open);
}

TEST_F(Loader, a_set_loads_all_that_is_not_on_demand) {
    write("penstock_backend_torch.so", "would be refused");
    write("libhelper.so.1", "no .so at its end");
    link(test_plugins / "no_entry/penstock_no_entry.so",
         "libhelper.so");  // a dependency of plugins
    link(samples / "penstock_lookup.so", "penstock_lookup.so");
    link(samples / "penstock_uppercase_words.so", "any_name.so");
    PluginSet plugins({folder, folder / "."});
    std::vector<std::string> names;
    for (const Library& library : plugins.load())
        names.emplace_back(library.name());
    EXPECT_EQ(names, (std::vector<std::string>{"uppercase_words", "lookup"}));
    EXPECT_EQ(plugins.load().size(), 2u);
}

TEST_F(Loader, a_set_reports_every_refusal_and_keeps_the_good_ones) {
    write("text.so", "text");
    link(test_plugins / "null_table/penstock_null_table.so", "null_table.so");
    link(samples / "penstock_lookup.so", "penstock_lookup.so");
    PluginSet plugins({folder});
    const std::string message = refusal([&] { plugins.load(); });
    expect_contains(message, (folder / "null_table.so").string() + ": the plugin's table is null");
    expect_contains(message, "\ncannot load plugin " + (folder / "text.so").string());
    expect_contains(refusal([&] { plugins.backend("torch"); }), "text.so");
}

TEST_F(Loader, a_set_refuses_duplicates) {
    fs::create_directories(folder / "a");
    fs::create_directories(folder / "b");
    link(samples / "penstock_lookup.so", "a/penstock_lookup.so");
    link(samples / "penstock_lookup.so", "b/penstock_lookup.so");
    expect_contains(refusal([&] {
                        PluginSet({folder / "a", folder / "b"});
                    }),
                    "plugin penstock_lookup.so is there twice, as " +
                        (folder / "a/penstock_lookup.so").string());

    link(samples / "penstock_lookup.so", "a/another_name.so");
    PluginSet plugins({folder / "a"});
    expect_contains(refusal([&] { plugins.load(); }), "its plugin name [lookup] is taken by " +
                                                          (folder / "a/another_name.so").string());

    PluginSet by_file;
    by_file.add(samples / "penstock_lookup.so");
    expect_contains(refusal([&] { by_file.add(folder / "a/another_name.so"); }), "is taken by");
}

TEST_F(Loader, a_set_says_which_backends_there_are) {
    link(fake, "penstock_backend_fake.so");
    PluginSet plugins({folder});
    expect_contains(
        refusal([&] { plugins.backend("torch"); }),
        "there is no inference backend [torch] (there is fake): no penstock_backend_torch.so in " +
            folder.string());
    PluginSet none;
    expect_contains(refusal([&] { none.backend("torch"); }), "since none is configured");
    expect_contains(refusal([] { PluginSet({"/nowhere/at/all"}); }),
                    "cannot read plugin directory /nowhere/at/all: No such file or directory");
}

TEST_F(Loader, a_set_refuses_a_backend_file_without_its_backend) {
    PluginSet plugins({test_plugins / "misnamed"});
    expect_contains(refusal([&] { plugins.backend("misnamed"); }),
                    "its file name promises the backend [misnamed], which it does not have");
}

TEST_F(Loader, a_set_finds_a_backend_in_a_plugin_of_another_name) {
    link(fake, "several_things.so");
    PluginSet plugins({folder});
    EXPECT_TRUE(plugins.backend_names().empty());
    EXPECT_EQ(plugins.backend("fake").library.name(), "fake_backend");
    EXPECT_EQ(plugins.backend_names(), std::vector<std::string>{"fake"});
}

}  // namespace
}  // namespace penstock::plugin
