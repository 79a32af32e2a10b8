#include "plugins/torch/safetensors.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>
#include <optional>
#include <set>

#include "plugins/torch/error.h"
#include "plugins/torch/json_file.h"

namespace penstock::plugins::torch {

namespace {

namespace json = boost::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference reader's limit

constexpr auto kWeights = "model.safetensors";
constexpr auto kIndex = "model.safetensors.index.json";
constexpr auto kHalfWeights = "model.fp16.safetensors";

std::optional<std::uint64_t> element_bytes(std::string_view dtype) {
    struct Entry {
        std::string_view name;
        std::uint64_t bytes;
    };
    static constexpr std::array<Entry, 15> kTypes{{{"BOOL", 1},
                                                   {"U8", 1},
                                                   {"I8", 1},
                                                   {"F8_E4M3", 1},
                                                   {"F8_E5M2", 1},
                                                   {"I16", 2},
                                                   {"U16", 2},
                                                   {"F16", 2},
                                                   {"BF16", 2},
                                                   {"I32", 4},
                                                   {"U32", 4},
                                                   {"F32", 4},
                                                   {"I64", 8},
                                                   {"U64", 8},
                                                   {"F64", 8}}};
    const auto found = std::ranges::find(kTypes, dtype, &Entry::name);
    if (found == kTypes.end()) return std::nullopt;
    return found->bytes;
}

std::uint64_t header_length(std::span<const std::byte> bytes) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i) {
        length |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    }
    return length;
}

[[noreturn]] void truncated(const MappedFile& file, std::uint64_t expected) {
    throw ModelError(text("Model definition truncated: ", file.path().string(), " has ",
                          file.bytes().size(), " bytes, ", expected,
                          " are expected; copy the file again"));
}

[[noreturn]] void corrupt(const MappedFile& file, const std::string& reason) {
    throw ModelError(text("Model definition corrupt: ", file.path().string(), ": ", reason));
}

std::optional<std::uint64_t> to_unsigned(const json::value& value) {
    if (value.is_uint64()) return value.get_uint64();
    if (value.is_int64() && value.get_int64() >= 0) {
        return static_cast<std::uint64_t>(value.get_int64());
    }
    return std::nullopt;
}

/// A list of numbers without sign, or nothing when the member is something else.
std::optional<std::vector<std::uint64_t>> numbers(const json::object& entry, const char* key) {
    const json::value* list = entry.if_contains(key);
    if (list == nullptr || !list->is_array()) return std::nullopt;
    std::vector<std::uint64_t> result;
    for (const json::value& item : list->get_array()) {
        const auto number = to_unsigned(item);
        if (!number) return std::nullopt;
        result.push_back(*number);
    }
    return result;
}

/// Where a tensor lies in the data part of its file, and how it reads.
struct Extent {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// Bytes that shape and dtype ask for; nothing when the product does not fit 63 bits.
std::optional<std::uint64_t> byte_size(const std::vector<std::uint64_t>& shape,
                                       std::uint64_t element) {
    constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    std::uint64_t size = element;
    for (const std::uint64_t extent : shape) {
        if (extent > kLimit || (extent != 0 && size > kLimit / extent)) return std::nullopt;
        size *= extent;
    }
    return size;
}

Extent read_extent(const MappedFile& file, std::string_view name, const json::value& value) {
    const auto where = text("tensor '", name, "'");
    if (!value.is_object()) corrupt(file, where + " is not described by an object");
    const json::object& entry = value.get_object();
    const json::value* dtype = entry.if_contains("dtype");
    if (dtype == nullptr || !dtype->is_string()) corrupt(file, where + " has no dtype");
    const std::string type(dtype->get_string().data(), dtype->get_string().size());
    const auto element = element_bytes(type);
    if (!element) corrupt(file, text(where, " has the unknown dtype '", type, "'"));
    const auto shape = numbers(entry, "shape");
    const auto offsets = numbers(entry, "data_offsets");
    if (!shape) corrupt(file, where + " has no shape");
    if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
        corrupt(file, where + " has no valid data_offsets");
    }
    const auto expected = byte_size(*shape, *element);
    if (!expected || *expected != (*offsets)[1] - (*offsets)[0]) {
        corrupt(file, text(where, ": its shape and dtype do not fit its ",
                           (*offsets)[1] - (*offsets)[0], " bytes"));
    }
    return {std::string(name), type, {shape->begin(), shape->end()}, (*offsets)[0], (*offsets)[1]};
}

/// The tensors in order of their bytes; the data part must be covered without gap or overlap.
std::vector<Extent> read_header(const MappedFile& file, const json::object& header) {
    std::vector<Extent> extents;
    for (const auto& member : header) {
        const std::string_view name(member.key().data(), member.key().size());
        if (name == "__metadata__") continue;
        extents.push_back(read_extent(file, name, member.value()));
    }
    std::ranges::sort(extents, [](const Extent& a, const Extent& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t reached = 0;
    for (const Extent& extent : extents) {
        if (extent.begin != reached) {
            corrupt(file, text("tensor '", extent.name, "' starts at byte ", extent.begin,
                               " of the data, byte ", reached, " is expected (",
                               extent.begin < reached ? "overlap" : "gap", ")"));
        }
        reached = extent.end;
    }
    return extents;
}

std::set<std::string> shard_names(const std::filesystem::path& index) {
    const json::object content = read_object(index);
    const json::value* map = content.if_contains("weight_map");
    if (map == nullptr || !map->is_object()) {
        throw ModelError(text(index.string(), ": an object 'weight_map' is expected"));
    }
    std::set<std::string> names;
    for (const auto& member : map->get_object()) {
        const json::string* name = member.value().if_string();
        const std::string file = name != nullptr ? std::string(name->data(), name->size()) : "";
        if (file.empty() || file == ".." || file.find('/') != std::string::npos) {
            throw ModelError(text(index.string(), ": '", std::string_view(member.key()),
                                  "' must name a file beside the index"));
        }
        names.insert(file);
    }
    return names;
}

}  // namespace

bool TensorStore::present(const std::filesystem::path& directory) {
    return std::filesystem::exists(directory / kWeights) ||
           std::filesystem::exists(directory / kIndex) ||
           std::filesystem::exists(directory / kHalfWeights);
}

TensorStore TensorStore::open(const std::filesystem::path& directory) {
    TensorStore store;
    if (std::filesystem::exists(directory / kWeights)) {
        store.add_file(directory / kWeights);
    } else if (std::filesystem::exists(directory / kIndex)) {
        for (const std::string& name : shard_names(directory / kIndex)) {
            store.add_file(directory / name);
        }
    } else {
        store.add_file(directory / kHalfWeights);
    }
    return store;
}

const StoredTensor* TensorStore::find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
}

void TensorStore::add_file(const std::filesystem::path& path) {
    const MappedFile& file = files_.emplace_back(path);
    const auto bytes = file.bytes();
    if (bytes.size() < kLengthBytes) truncated(file, kLengthBytes);
    const std::uint64_t length = header_length(bytes);
    if (length > kLargestHeader) {
        corrupt(file, text("its header claims ", length, " bytes; not a safetensors file?"));
    }
    if (length > bytes.size() - kLengthBytes) truncated(file, kLengthBytes + length);
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                  length);
    if (!header.starts_with('{')) corrupt(file, "its header is not JSON");
    json::object parsed;
    try {
        parsed = parse_object(header, "header");
    } catch (const ModelError& error) {
        corrupt(file, error.what());
    }
    const auto extents = read_header(file, parsed);
    const auto data = bytes.subspan(kLengthBytes + length);
    const std::uint64_t end = extents.empty() ? 0 : extents.back().end;
    if (data.size() < end) truncated(file, kLengthBytes + length + end);
    if (data.size() > end) {
        corrupt(file, text(data.size() - end, " bytes after the last tensor"));
    }
    for (const Extent& extent : extents) {
        StoredTensor tensor{extent.dtype, extent.shape,
                            data.subspan(extent.begin, extent.end - extent.begin),
                            path.filename().string()};
        if (!tensors_.emplace(extent.name, std::move(tensor)).second) {
            corrupt(file, text("tensor '", extent.name, "' is in another shard too"));
        }
    }
}

}  // namespace penstock::plugins::torch
