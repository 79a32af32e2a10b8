// penstock inspect: what this build can do: processors, plugins, the configuration.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "engine/document/json.h"
#include "engine/pipeline/reference.h"
#include "engine/plugin/processor_adapter.h"
#include "processors/builtin.h"
#include "tools/penstock/command.h"

namespace penstock::tools {

namespace {

std::size_t terminal_width() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return std::clamp<std::size_t>(size.ws_col, 40, 120);
}

void write_member(std::string& out, std::string_view name, std::string_view text) {
    if (out.back() != '{') out += ',';
    document::write_json_string(name, out);
    out += ':';
    document::write_json_string(text, out);
}

std::string spec_json(const pipeline::ProcessorSpec& spec) {
    std::string out = "{";
    write_member(out, "name", spec.name);
    write_member(out, "summary", spec.summary);
    write_member(out, "description", spec.description);
    write_member(out, "since", spec.since);
    out += ",\"options\":[";
    for (const auto& option : spec.options) {
        if (out.back() != '[') out += ',';
        out += '{';
        write_member(out, "name", option.name);
        write_member(out, "type", pipeline::type_name(option.type));
        out += std::string(",\"required\":") + (option.required ? "true" : "false") +
               ",\"template\":" + (option.templated ? "true" : "false");
        if (!option.default_value.empty()) write_member(out, "default", option.default_value);
        if (!option.values.empty()) {
            out += ",\"values\":[";
            for (const std::string& value : option.values) {
                if (out.back() != '[') out += ',';
                document::write_json_string(value, out);
            }
            out += ']';
        }
        write_member(out, "doc", option.doc);
        out += '}';
    }
    return out + "]}";
}

int inspect_processors(const CommonOptions& common, const std::string& name) {
    Workspace workspace(common);
    const pipeline::Catalog& catalog = workspace.catalog();
    if (name.empty()) {
        if (!common.json) {
            std::printf("%s", pipeline::catalog_text(catalog, terminal_width()).c_str());
            return exit_ok;
        }
        std::string out = "[";
        for (const auto& [key, spec] : catalog.all())
            out += (out.size() > 1 ? "," : "") + spec_json(spec);
        std::printf("%s]\n", out.c_str());
        return exit_ok;
    }
    const pipeline::ProcessorSpec* spec = catalog.find(name);
    if (spec == nullptr) {
        std::vector<std::string_view> names;
        for (const auto& [key, value] : catalog.all())
            names.push_back(key);
        std::string_view near = pipeline::nearest(name, names);
        throw Error("there is no processor [" + name + "]" +
                    (near.empty() ? "" : " (did you mean [" + std::string(near) + "]?)"));
    }
    std::printf("%s\n", common.json ? spec_json(*spec).c_str()
                                    : pipeline::processor_text(*spec, terminal_width()).c_str());
    return exit_ok;
}

int inspect_schema(const CommonOptions& common) {
    Workspace workspace(common);
    std::printf("%s\n", pipeline::pipeline_schema(workspace.catalog()).c_str());
    return exit_ok;
}

/// The built-in processors alone: what docs/reference/ holds.
int inspect_reference(const CommonOptions& common, const std::string& folder) {
    Workspace workspace(common);
    namespace fs = std::filesystem;
    fs::create_directories(folder);
    pipeline::Catalog builtin;
    processors::add_builtin(builtin, workspace.deployment_directory());
    for (const auto& [file, content] : pipeline::reference_pages(builtin)) {
        std::ofstream out(fs::path(folder) / file, std::ios::binary);
        out << content;
        if (!out.flush()) throw Error("cannot write " + (fs::path(folder) / file).string());
    }
    return exit_ok;
}

int inspect_plugins(const CommonOptions& common) {
    Workspace workspace(common);
    std::vector<plugin::Library> libraries = workspace.plugins().load();
    std::string out = "[";
    for (const plugin::Library& library : libraries) {
        std::string names;
        for (const auto& processor : plugin::processor_specs(library))
            names += (names.empty() ? "" : ", ") + processor.name;
        if (common.json) {
            if (out.size() > 1) out += ',';
            out += '{';
            write_member(out, "name", library.name());
            write_member(out, "version", library.version());
            write_member(out, "file", library.file().string());
            write_member(out, "processors", names);
            out += '}';
        } else {
            std::printf("%-20s %-8s processors: %s\n  %s\n", std::string(library.name()).c_str(),
                        std::string(library.version()).c_str(), names.empty() ? "-" : names.c_str(),
                        library.file().string().c_str());
        }
    }
    if (common.json) {
        std::printf("%s]\n", out.c_str());
        return exit_ok;
    }
    for (const std::string& name : workspace.plugins().backend_names()) {
        std::printf("%-20s inference backend, loaded when a model is started\n", name.c_str());
    }
    return exit_ok;
}

}  // namespace

void add_inspect(CommandLine& line) {
    CLI::App* inspect = line.add(
        line.app, "inspect", "Show what this build can do: processors, plugins, the schema",
        "  penstock inspect processors\n  penstock inspect processors rename\n"
        "  penstock inspect schema > pipeline.schema.json");
    inspect->require_subcommand(1);

    auto name = std::make_shared<std::string>();
    CLI::App* processors = line.add(*inspect, "processors",
                                    "All processors, or one with its options and examples", "");
    processors->add_option("NAME", *name, "A processor");
    processors->callback([&line, name] {
        line.action = [&line, name] { return inspect_processors(line.common, *name); };
    });

    CLI::App* schema =
        line.add(*inspect, "schema", "JSON schema of pipeline files, for editors", "");
    schema->callback([&line] { line.action = [&line] { return inspect_schema(line.common); }; });

    auto folder = std::make_shared<std::string>();
    CLI::App* reference =
        line.add(*inspect, "reference", "Write the reference pages of the built-in processors", "");
    reference->add_option("FOLDER", *folder, "Where to")->required();
    reference->callback([&line, folder] {
        line.action = [&line, folder] { return inspect_reference(line.common, *folder); };
    });

    CLI::App* plugins = line.add(*inspect, "plugins", "Plugins in the plugin directories", "");
    plugins->callback([&line] { line.action = [&line] { return inspect_plugins(line.common); }; });
}

}  // namespace penstock::tools
