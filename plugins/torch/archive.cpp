#include "plugins/torch/archive.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/torch/error.h"
#include "plugins/torch/mapped_file.h"

namespace penstock::plugins::torch {

namespace {

// Field offsets are those of PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16.
constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kCentralBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocator64Bytes = 20;
constexpr std::size_t kLongestComment = 0xffff;
constexpr std::uint16_t kZip64Field = 1;
constexpr std::uint64_t kInZip64 = 0xffffffff;

constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kDeflated = 8;
constexpr std::uint64_t kLargestCode = 64 << 20;  // far above any model's; bounds what is inflated

/// Functions that TorchScript runs on its own while it loads or copies a model.
constexpr std::array<std::string_view, 2> kHooks{"def __setstate__(", "def __getstate__("};

struct Entry {
    std::string_view name;
    std::uint16_t flags = 0;
    std::uint16_t method = 0;
    std::uint64_t stored = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
};

/// Reads little-endian fields from the archive and refuses whatever would lie outside it.
class Archive {
  public:
    explicit Archive(const MappedFile& file)
        : file_(file),
          content_(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()) {}

    std::vector<Entry> entries() const;
    std::string_view data(const Entry& entry) const;

    [[noreturn]] void refuse(const std::string& reason) const {
        throw ModelError(text("Model definition refused: ", file_.path().string(), ": ", reason));
    }

  private:
    struct Directory {
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        std::uint64_t count = 0;
    };

    std::string_view slice(std::uint64_t offset, std::uint64_t size) const {
        if (offset > content_.size() || size > content_.size() - offset) truncated();
        return content_.substr(offset, size);
    }
    std::uint64_t number(std::uint64_t offset, std::size_t bytes) const {
        const std::string_view field = slice(offset, bytes);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(field[i])) << (8 * i);
        }
        return value;
    }
    [[noreturn]] void truncated() const {
        throw ModelError(text("Model definition truncated: ", file_.path().string(), " has ",
                              content_.size(),
                              " bytes and is not a whole TorchScript archive; copy it again"));
    }

    Directory directory() const;
    void widen(Entry& entry, std::uint64_t extra, std::uint64_t extra_bytes) const;

    const MappedFile& file_;
    std::string_view content_;
};

Archive::Directory Archive::directory() const {
    if (content_.size() < kEndBytes) truncated();
    const std::uint64_t last = content_.size() - kEndBytes;
    const std::uint64_t first = last > kLongestComment ? last - kLongestComment : 0;
    std::uint64_t end = last;
    while (number(end, 4) != kEndSignature || number(end + 20, 2) != last - end) {
        if (end == first) truncated();
        --end;
    }
    Directory directory{number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
    if (end >= kLocator64Bytes && number(end - kLocator64Bytes, 4) == kLocator64Signature) {
        const std::uint64_t end64 = number(end - kLocator64Bytes + 8, 8);
        slice(end64, kEnd64Bytes);
        if (number(end64, 4) != kEnd64Signature) refuse("its ZIP64 end record is damaged");
        directory = {number(end64 + 48, 8), number(end64 + 40, 8), number(end64 + 32, 8)};
    }
    slice(directory.offset, directory.size);
    return directory;
}

void Archive::widen(Entry& entry, std::uint64_t extra, std::uint64_t extra_bytes) const {
    const std::uint64_t end = extra + extra_bytes;
    while (extra + 4 <= end) {
        const std::uint64_t id = number(extra, 2);
        const std::uint64_t next = extra + 4 + number(extra + 2, 2);
        if (next > end) refuse("an entry's extra field is damaged");
        std::uint64_t field = extra + 4;
        for (std::uint64_t* value : {&entry.size, &entry.stored, &entry.offset}) {
            if (id != kZip64Field || *value != kInZip64 || field + 8 > next) continue;
            *value = number(field, 8);
            field += 8;
        }
        extra = next;
    }
}

std::vector<Entry> Archive::entries() const {
    const Directory where = directory();
    std::vector<Entry> entries;
    std::uint64_t at = where.offset;
    const std::uint64_t end = where.offset + where.size;
    while (at < end) {
        slice(at, kCentralBytes);
        if (number(at, 4) != kCentralSignature) refuse("its table of contents is damaged");
        const std::uint64_t name_bytes = number(at + 28, 2);
        const std::uint64_t extra_bytes = number(at + 30, 2);
        Entry entry;
        entry.name = slice(at + kCentralBytes, name_bytes);
        entry.flags = static_cast<std::uint16_t>(number(at + 8, 2));
        entry.method = static_cast<std::uint16_t>(number(at + 10, 2));
        entry.stored = number(at + 20, 4);
        entry.size = number(at + 24, 4);
        entry.offset = number(at + 42, 4);
        widen(entry, at + kCentralBytes + name_bytes, extra_bytes);
        entries.push_back(entry);
        at += kCentralBytes + name_bytes + extra_bytes + number(at + 32, 2);
    }
    if (at != end || entries.size() != where.count) refuse("its table of contents is damaged");
    return entries;
}

std::string_view Archive::data(const Entry& entry) const {
    slice(entry.offset, kLocalBytes);
    if (number(entry.offset, 4) != kLocalSignature) {
        refuse(text("entry '", entry.name, "' is damaged"));
    }
    const std::uint64_t name_bytes = number(entry.offset + 26, 2);
    // libtorch finds entries by the table of contents; a second name for the same bytes is a
    // disguise.
    if (slice(entry.offset + kLocalBytes, name_bytes) != entry.name) {
        refuse(text("entry '", entry.name, "' has another name in its own header"));
    }
    return slice(entry.offset + kLocalBytes + name_bytes + number(entry.offset + 28, 2),
                 entry.stored);
}

/// The text of an entry that may be deflated, which libtorch does to code.
std::string inflated(const Archive& archive, const Entry& entry) {
    const std::string_view data = archive.data(entry);
    if (entry.method == kStored) return std::string(data);
    std::string content(entry.size, '\0');
    z_stream stream{};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(content.data());
    stream.avail_out = static_cast<uInt>(content.size());
    int result = inflateInit2(&stream, -MAX_WBITS);  // deflate without a header, as ZIP has it
    if (result == Z_OK) {
        result = inflate(&stream, Z_FINISH);
        inflateEnd(&stream);
    }
    if (result != Z_STREAM_END || stream.avail_out != 0) {
        archive.refuse(text("entry '", entry.name, "' is damaged"));
    }
    return content;
}

void check_name(const Archive& archive, const Entry& entry) {
    if (entry.name.empty() || entry.name.front() == '/' ||
        entry.name.find("..") != std::string_view::npos ||
        entry.name.find('\\') != std::string_view::npos) {
        archive.refuse(text("entry '", entry.name, "' has a name that leaves the archive"));
    }
}

void check_entry(const Archive& archive, const Entry& entry) {
    check_name(archive, entry);
    if ((entry.flags & 1U) != 0) archive.refuse(text("entry '", entry.name, "' is encrypted"));
    const bool code = entry.name.find("/code/") != std::string_view::npos;
    // Tensors are never compressed: their size in the file is their size in memory.
    const bool fits = entry.method == kStored
                          ? entry.stored == entry.size
                          : code && entry.method == kDeflated && entry.size <= kLargestCode &&
                                entry.stored <= kLargestCode;
    if (!fits) {
        archive.refuse(
            text("entry '", entry.name, "' is compressed in a way libtorch does not use"));
    }
    if (!code) {
        (void)archive.data(entry);  // refuses what lies outside the file
        return;
    }
    const std::string source = inflated(archive, entry);
    for (const std::string_view hook : kHooks) {
        if (source.find(hook) != std::string::npos) {
            archive.refuse(text("'", entry.name, "' has the custom state hook '",
                                hook.substr(4, hook.size() - 5),
                                "', which would run while the model is loaded"));
        }
    }
}

}  // namespace

void check_torchscript_archive(const std::filesystem::path& path) {
    const MappedFile file(path);
    const Archive archive(file);
    const auto entries = archive.entries();
    for (const Entry& entry : entries)
        check_entry(archive, entry);
    const auto has = [&](std::string_view part) {
        return std::ranges::any_of(entries, [&](const Entry& entry) {
            return entry.name.find(part) != std::string_view::npos;
        });
    };
    if (!has("/constants.pkl") || !has("/code/")) {
        archive.refuse(
            "no TorchScript inside (a checkpoint of weights alone?); export the model with "
            "torch.jit.trace or torch.jit.script");
    }
}

}  // namespace penstock::plugins::torch
