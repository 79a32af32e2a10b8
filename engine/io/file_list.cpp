#include "engine/io/file_list.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExtensions = ".ndjson .jsonl .json .csv .tsv, each also with .gz or .zst";

std::optional<Format> format_of(std::string_view path) {
    for (const std::string_view packed : {".gz", ".zst"}) {
        if (path.ends_with(packed)) path.remove_suffix(packed.size());
    }
    if (path.ends_with(".dead-letter.ndjson")) return Format::dead_letter;
    const std::size_t dot = path.rfind('.');
    const std::size_t slash = path.rfind('/');
    if (dot == std::string_view::npos || (slash != std::string_view::npos && dot < slash))
        return std::nullopt;
    const std::string_view extension = path.substr(dot + 1);
    return extension == "dead_letter" ? std::nullopt : format_from_name(extension);
}

std::vector<std::string> files_below(const std::string& directory) {
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator it(directory, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
        const bool hidden = it->path().filename().native().starts_with('.');
        std::error_code ignored;
        if (hidden && it->is_directory(ignored)) {
            it.disable_recursion_pending();
        } else if (!hidden && it->is_regular_file(ignored) && format_of(it->path().native())) {
            found.push_back(it->path().native());
        }
    }
    if (error) throw Error("cannot list the directory " + directory + ": " + error.message());
    if (found.empty()) {
        throw Error("the directory " + directory + " holds no file that can be read (" +
                    kExtensions + ")");
    }
    return found;
}

std::vector<std::string> matches_of(const std::string& pattern) {
    ::glob_t result{};
    const int rc = ::glob(pattern.c_str(), GLOB_BRACE, nullptr, &result);
    std::vector<std::string> found;
    for (std::size_t i = 0; rc == 0 && i < result.gl_pathc; ++i) {
        std::error_code ignored;
        if (!fs::is_directory(result.gl_pathv[i], ignored)) found.emplace_back(result.gl_pathv[i]);
    }
    ::globfree(&result);
    if (found.empty()) throw Error("no file matches " + pattern);
    return found;
}

bool is_plain(const std::string& path, const SourceOptions& options) {
    if (options.compression) return *options.compression == Compression::none;
    try {
        return open_input(path)->seekable();
    } catch (const Error&) {
        return false;  // reading it will say why
    }
}

InputFile describe(std::string path, const SourceOptions& options) {
    InputFile file;
    struct stat info {};
    const bool exists = path == "-" || ::stat(path.c_str(), &info) == 0;
    if (!exists) throw Error("cannot open " + path + ": " + std::strerror(errno));
    file.pipe = path == "-" || !S_ISREG(info.st_mode);
    file.size = file.pipe ? 0 : static_cast<std::uint64_t>(info.st_size);
    const std::optional<Format> known = options.format ? options.format : format_of(path);
    if (!known && !file.pipe) {
        throw Error("cannot tell the format of " + path + " from its name (known: " + kExtensions +
                    "); name the format");
    }
    file.format = known.value_or(Format::ndjson);
    file.path = path == "-" ? path : fs::path(path).lexically_normal().native();
    return file;
}

}  // namespace

std::optional<Format> format_from_name(std::string_view name) {
    if (name == "ndjson" || name == "jsonl") return Format::ndjson;
    if (name == "json") return Format::json;
    if (name == "csv") return Format::csv;
    if (name == "tsv") return Format::tsv;
    if (name == "dead_letter") return Format::dead_letter;
    return std::nullopt;
}

bool is_divisible(const InputFile& file, const SourceOptions& options) {
    return !file.pipe && file.format == Format::ndjson && is_plain(file.path, options);
}

std::vector<InputFile> list_files(const SourceOptions& options) {
    const std::string& location = options.location;
    if (location.empty())
        throw Error("the source has no name; give a file, a directory, a glob, - or index:NAME");
    std::error_code ignored;
    std::vector<std::string> paths;
    if (location != "-" && fs::is_directory(location, ignored)) {
        paths = files_below(location);
    } else if (location != "-" && !fs::exists(location, ignored) &&
               location.find_first_of("*?[{") != std::string::npos) {
        paths = matches_of(location);
    } else {
        paths = {location};
    }
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    std::vector<InputFile> files;
    files.reserve(paths.size());
    for (std::string& path : paths)
        files.push_back(describe(std::move(path), options));
    return files;
}

}  // namespace penstock::io
