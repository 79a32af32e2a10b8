#include "tools/penstock/remote.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "engine/runtime/error.h"

namespace penstock::tools {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

/// The file's first line.
std::string read_api_key(const std::string& file) {
    std::ifstream in(file);
    std::string key;
    std::getline(in, key);
    while (!key.empty() && (key.back() == '\r' || key.back() == ' '))
        key.pop_back();
    if (key.empty()) throw Error("there is no API key in " + file);
    return key;
}

/// Names between commas; there is at least one.
std::vector<std::string> split_names(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        if (end > 0) names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

}  // namespace

bool is_remote(const std::string& source) {
    return source.starts_with("http://") || source.starts_with("https://");
}

io::RemoteOptions remote_options(const std::string& source, const std::string& api_key_file) {
    if (source.find('@') < source.find('/', source.find("://") + 3)) {
        throw Error(
            "a source's URL must not hold credentials, which everybody on this machine could read: "
            "put them in the environment as PENSTOCK_REMOTE_USER and PENSTOCK_REMOTE_PASSWORD, or "
            "use --remote-api-key-file");
    }
    const std::size_t slash = source.rfind('/');
    io::RemoteOptions options;
    options.indices = split_names(std::string_view(source).substr(slash + 1));
    const auto address = io::parse_remote_address(source.substr(0, slash));
    if (!address || options.indices.empty()) {
        throw Error(
            "a remote source must be [scheme]://[host]:[port](/[pathPrefix])?/[index], with "
            "commas between several indices, found " +
            source);
    }
    options.address = *address;
    if (!api_key_file.empty()) {
        options.api_key = read_api_key(api_key_file);
        return options;
    }
    options.username = environment("PENSTOCK_REMOTE_USER");
    options.password = environment("PENSTOCK_REMOTE_PASSWORD");
    return options;
}

}  // namespace penstock::tools
