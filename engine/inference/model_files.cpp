#include "engine/inference/model_files.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <charconv>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <set>
#include <string_view>

namespace penstock::inference {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// A safetensors file may not have a larger header (the format's own limit).
constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;
constexpr std::uint64_t kEndBytes = 4096;
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::string_view kCopyAgain = "; copy or download the file again";

struct Finding {
    ModelState state;
    std::string reason;
};

Finding truncated(const fs::path& file, const std::string& what) {
    return {ModelState::incomplete, "Model definition truncated: " + file.filename().string() +
                                        " " + what + std::string(kCopyAgain)};
}

// The JSON string that starts at the quote text[at]; `at` moves behind it. Escapes are left as they
// are, which is enough to find keys.
std::optional<std::string_view> json_string(std::string_view text, std::size_t& at) {
    const std::size_t start = at + 1;
    for (std::size_t i = start; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            at = i + 1;
            return text.substr(start, i - start);
        }
    }
    return std::nullopt;
}

void skip(std::string_view text, std::size_t& at, std::string_view characters) {
    while (at < text.size() && characters.find(text[at]) != std::string_view::npos)
        ++at;
}

std::optional<std::uint64_t> number(std::string_view text, std::size_t& at) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (error != std::errc()) return std::nullopt;
    at = static_cast<std::size_t>(end - text.data());
    return value;
}

// Where the last tensor ends, by the header's "data_offsets": [begin, end]; nothing when the header
// is not JSON.
std::optional<std::uint64_t> end_of_tensors(std::string_view header) {
    std::uint64_t end = 0;
    std::size_t at = 0;
    while ((at = header.find('"', at)) != std::string_view::npos) {
        const auto key = json_string(header, at);
        if (!key) return std::nullopt;
        if (*key != "data_offsets") continue;
        skip(header, at, " \t\r\n:[");
        if (!number(header, at)) return std::nullopt;
        skip(header, at, " \t\r\n,");
        const auto tensor_end = number(header, at);
        if (!tensor_end) return std::nullopt;
        end = std::max(end, *tensor_end);
    }
    return end;
}

std::string read_start(const fs::path& file, std::uint64_t bytes) {
    std::string text(bytes, '\0');
    std::ifstream in(file, std::ios::binary);
    in.read(text.data(), static_cast<std::streamsize>(bytes));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::optional<Finding> check_safetensors(const fs::path& file, std::uint64_t size) {
    const std::string prefix = read_start(file, std::min<std::uint64_t>(size, 8));
    if (prefix.size() < 8) return truncated(file, "has " + std::to_string(size) + " bytes");
    std::uint64_t header_size = 0;
    for (std::size_t i = 8; i-- > 0;) {
        header_size = header_size << 8 | static_cast<unsigned char>(prefix[i]);
    }
    if (header_size > kMaxSafetensorsHeader) {
        return Finding{ModelState::invalid, file.filename().string() +
                                                " is not a safetensors file (its header would be " +
                                                std::to_string(header_size) + " bytes long)"};
    }
    if (8 + header_size > size) return truncated(file, "ends within its header");
    const std::string start = read_start(file, 8 + header_size);
    const std::string_view header = std::string_view(start).substr(8);
    const auto end = end_of_tensors(header);
    if (!end || header.empty() || header.front() != '{') {
        return Finding{
            ModelState::invalid,
            file.filename().string() + " is not a safetensors file: its header is not JSON"};
    }
    const std::uint64_t expected = 8 + header_size + *end;
    if (size < expected) {
        return truncated(
            file, "has " + std::to_string(size) + " of " + std::to_string(expected) + " bytes");
    }
    return std::nullopt;
}

// A TorchScript archive is a zip file: it starts with a local header and ends with the central
// directory's end record (22 bytes and a comment of at most 64 KiB).
std::optional<Finding> check_torchscript(const fs::path& file, std::uint64_t size) {
    if (size < 22) return truncated(file, "has " + std::to_string(size) + " bytes");
    if (read_start(file, 4) != std::string("PK\x03\x04", 4)) {
        return Finding{ModelState::invalid,
                       file.filename().string() + " is not a TorchScript archive (torch.jit.save)"};
    }
    const std::uint64_t tail_size = std::min<std::uint64_t>(size, 22 + 65535);
    std::string tail(tail_size, '\0');
    std::ifstream in(file, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(size - tail_size));
    in.read(tail.data(), static_cast<std::streamsize>(tail_size));
    if (tail.rfind("PK\x05\x06") == std::string::npos) {
        return truncated(file, "has no end record (" + std::to_string(size) + " bytes)");
    }
    return std::nullopt;
}

std::optional<Finding> check_weights(const fs::path& file) {
    const std::uint64_t size = fs::file_size(file);
    if (read_start(file, std::min<std::uint64_t>(size, 40))
            .starts_with("version https://git-lfs")) {
        return Finding{ModelState::incomplete,
                       file.filename().string() +
                           " is a Git LFS pointer, not the weights; run `git lfs pull` "
                           "where it came from and copy it again"};
    }
    return file.extension() == ".safetensors" ? check_safetensors(file, size)
                                              : check_torchscript(file, size);
}

// Up to kEndBytes from `at` on.
std::string read_some(const fs::path& file, std::uint64_t at) {
    std::string text(kEndBytes, '\0');
    std::ifstream in(file, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(at));
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

// Full parsing is the backend's and the tokenizer's; this finds files that were cut off, by their
// ends alone, since a tokenizer.json can have tens of megabytes.
std::optional<Finding> check_json(const fs::path& file) {
    const std::uint64_t size = fs::file_size(file);
    const std::string head = read_some(file, 0);
    const auto first = head.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string::npos && size == head.size()) return truncated(file, "is empty");
    if (first == std::string::npos || head[first] != '{') {
        return Finding{ModelState::invalid, file.filename().string() + " is not a JSON object"};
    }
    const std::string tail = read_some(file, size - std::min(size, kEndBytes));
    const auto last = tail.find_last_not_of(" \t\r\n");
    if (last == std::string::npos || tail[last] != '}') {
        return truncated(file, "does not end with '}'");
    }
    return std::nullopt;
}

Finding bad_index(const std::string& why) {
    return {ModelState::invalid, std::string(kIndex) + ": " + why};
}

// The files that an index of sharded weights names, each once; they must lie beside it.
std::optional<Finding> read_index(const fs::path& index, std::set<std::string>& shards) {
    const std::uint64_t size = fs::file_size(index);
    if (size > kMaxSafetensorsHeader) return bad_index("has " + std::to_string(size) + " bytes");
    if (auto finding = check_json(index)) return finding;
    json::error_code error;
    const json::value content = json::parse(read_start(index, size), error);
    if (error) return bad_index("is not valid JSON: " + error.message());
    const json::object* object = content.if_object();
    const json::value* map = object ? object->if_contains("weight_map") : nullptr;
    if (!map || !map->is_object()) return bad_index("has no object weight_map");
    for (const auto& [tensor, file] : map->get_object()) {
        const std::string name = file.is_string() ? std::string(file.get_string()) : std::string();
        if (name.empty() || name == ".." || name.find('/') != std::string::npos) {
            return bad_index("[" + std::string(tensor) + "] must name a file beside the index");
        }
        shards.insert(name);
    }
    if (shards.empty()) return bad_index("names no file");
    return std::nullopt;
}

std::optional<Finding> check_shards(const fs::path& index, std::uint64_t& bytes) {
    std::set<std::string> shards;
    if (auto finding = read_index(index, shards)) return finding;
    bytes = 0;
    for (const std::string& shard : shards) {
        const fs::path file = index.parent_path() / shard;
        if (!fs::is_regular_file(file)) {
            return Finding{ModelState::incomplete,
                           shard + " is missing; " + std::string(kIndex) + " names it"};
        }
        if (auto finding = check_weights(file)) return finding;
        bytes += fs::file_size(file);
    }
    return std::nullopt;
}

fs::path first_existing(const fs::path& directory, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (fs::is_regular_file(directory / name)) return directory / name;
    }
    return {};
}

Finding without_weights(const fs::path& directory) {
    if (fs::exists(directory / "pytorch_model.bin")) {
        return {ModelState::invalid,
                "pytorch_model.bin is a pickle, which can run code when it is read; convert it to "
                "model.safetensors"};
    }
    return {ModelState::incomplete,
            "there are no weights: model.safetensors or model.pt is missing"};
}

std::optional<Finding> first_problem(const fs::path& directory, ModelFiles& files) {
    const bool archive = files.weights.extension() == ".pt";
    const bool sharded = files.weights.extension() == ".json";
    if (files.weights.empty()) return without_weights(directory);
    if (auto finding = sharded ? check_shards(files.weights, files.weight_bytes)
                               : check_weights(files.weights)) {
        return finding;
    }
    const fs::path config = first_existing(directory, {"config.json"});
    if (config.empty() && !archive) {
        return Finding{ModelState::incomplete, "config.json is missing; it tells the architecture"};
    }
    if (!config.empty()) {
        if (auto finding = check_json(config)) return finding;
    }
    const fs::path tokenizer = first_existing(directory, {"tokenizer.json", "vocab.txt"});
    if (tokenizer.empty()) {
        return Finding{ModelState::incomplete, "tokenizer.json (or vocab.txt) is missing"};
    }
    return tokenizer.extension() == ".json" ? check_json(tokenizer) : std::nullopt;
}

}  // namespace

ModelFiles inspect_model_files(const fs::path& directory) {
    ModelFiles files;
    // The order in which a backend looks.
    files.weights =
        first_existing(directory, {"model.safetensors", kIndex, "model.fp16.safetensors",
                                   "model.pt", "model.torchscript.pt"});
    if (!files.weights.empty()) files.weight_bytes = fs::file_size(files.weights);
    if (const auto finding = first_problem(directory, files)) {
        files.state = finding->state;
        files.reason = finding->reason;
    }
    return files;
}

}  // namespace penstock::inference
