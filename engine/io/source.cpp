#include "engine/io/source.h"

#include <xxhash.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/io/file_source.h"
#include "engine/io/index.h"
#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

constexpr std::string_view kIndexPrefix = "index:";

IndexStore& store_of(const SourceOptions& options) {
    if (options.store == nullptr) {
        throw Error("cannot read " + options.location +
                    ": there is no data directory for the embedded index");
    }
    return *options.store;
}

/// The files laid end to end; slice `slice` of `count` owns an equal stretch of the bytes. A file
/// that cannot be divided belongs to the slice in which its first byte lies.
std::vector<FilePart> share_of(const std::vector<InputFile>& files, std::size_t slice,
                               std::size_t count) {
    std::uint64_t total = 0;
    for (const InputFile& file : files)
        total += std::max<std::uint64_t>(file.size, 1);
    const auto bound = [&](std::size_t i) {
        return static_cast<std::uint64_t>(static_cast<unsigned __int128>(total) * i / count);
    };
    const std::uint64_t from = bound(slice);
    const std::uint64_t to = bound(slice + 1);
    std::vector<FilePart> parts;
    std::uint64_t begin = 0;
    for (const InputFile& file : files) {
        const std::uint64_t end = begin + std::max<std::uint64_t>(file.size, 1);
        if (!file.divisible) {
            if (begin >= from && begin < to) parts.push_back({file});
        } else if (end > from && begin < to) {
            // The last stretch of a file ends where the file does, so that a file that grows is not
            // cut.
            parts.push_back(
                {file, from > begin ? from - begin : 0, to < end ? to - begin : UINT64_MAX});
        }
        begin = end;
    }
    return parts;
}

std::string plan_name(const std::vector<InputFile>& files, std::size_t slice, std::size_t count) {
    std::string text = std::to_string(slice) + "/" + std::to_string(count);
    for (const InputFile& file : files)
        text += '\n' + file.path + ' ' + std::to_string(file.size);
    return std::to_string(slice) + "/" + std::to_string(count) + ":" +
           std::to_string(XXH3_64bits(text.data(), text.size()));
}

}  // namespace

void RecordBatch::clear() {
    buffer.clear();
    records.clear();
    origins.clear();
    id_names.clear();
    end_position.clear();
}

std::string RecordBatch::location(const Record& record) const {
    const std::string& origin = origins[record.origin];
    if (origin.starts_with(kIndexPrefix) || origin.find("://") != std::string::npos)
        return origin + "/" + record.id;
    const std::string name = origin == "-" ? "standard input" : origin;
    if (record.line > 0) return name + ":" + std::to_string(record.line);
    return name + "@" + std::to_string(record.offset);
}

std::string RecordBatch::stable_id(const Record& record) const {
    std::string key = (id_names.empty() ? origins : id_names)[record.origin];
    key.push_back('\0');
    key += std::to_string(record.offset);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(key.data(), key.size()));
    return base64({reinterpret_cast<const char*>(bytes.digest), sizeof bytes.digest}, true);
}

std::unique_ptr<Source> open_source(const SourceOptions& options) {
    if (options.location.starts_with(kIndexPrefix)) {
        return store_of(options).scan(options.location.substr(kIndexPrefix.size()));
    }
    std::vector<FilePart> parts;
    for (InputFile& file : list_files(options))
        parts.push_back({std::move(file)});
    return make_file_source(std::move(parts), options, "");
}

std::vector<std::unique_ptr<Source>> open_slices(const SourceOptions& options, std::size_t count) {
    std::vector<std::unique_ptr<Source>> slices;
    if (count <= 1) {
        slices.push_back(open_source(options));
        return slices;
    }
    if (options.location.starts_with(kIndexPrefix)) {
        return store_of(options).scan_slices(options.location.substr(kIndexPrefix.size()), count);
    }
    std::vector<InputFile> files = list_files(options);
    if (std::any_of(files.begin(), files.end(), [](const InputFile& file) { return file.pipe; })) {
        throw Error(
            "a pipe such as standard input cannot be read in slices; use one slice or a file");
    }
    for (InputFile& file : files)
        file.divisible = is_divisible(file, options);
    for (std::size_t slice = 0; slice < count; ++slice) {
        slices.push_back(make_file_source(share_of(files, slice, count), options,
                                          plan_name(files, slice, count)));
    }
    return slices;
}

}  // namespace penstock::io
