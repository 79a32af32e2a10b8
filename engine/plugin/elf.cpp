#include "engine/plugin/elf.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

namespace penstock::plugin {
namespace {

// Symbol tables larger than this are not read: no plugin that exports its entry alone comes near.
constexpr std::uint64_t max_table = 64 * 1024 * 1024;
constexpr std::string_view entry_prefix = "penstock_plugin_v";

constexpr int native_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
constexpr int native_order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

#if defined(__x86_64__)
constexpr int native_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int native_machine = EM_AARCH64;
#elif defined(__riscv)
constexpr int native_machine = EM_RISCV;
#elif defined(__i386__)
constexpr int native_machine = EM_386;
#elif defined(__arm__)
constexpr int native_machine = EM_ARM;
#else
constexpr int native_machine = EM_NONE;  // left to the dynamic loader
#endif

/// A file read in pieces, each within its bounds.
class Reader {
  public:
    explicit Reader(const std::filesystem::path& file) : in_(file, std::ios::binary) {
        std::error_code error;
        size_ = std::filesystem::file_size(file, error);
        if (error) size_ = 0;
    }
    bool good() const { return in_.good(); }
    std::uint64_t size() const { return size_; }

    template <class T>
    std::optional<std::vector<T>> table(std::uint64_t offset, std::uint64_t count) {
        if (count > max_table / sizeof(T) || !inside(offset, count * sizeof(T)))
            return std::nullopt;
        std::vector<T> out(static_cast<std::size_t>(count));
        in_.seekg(static_cast<std::streamoff>(offset));
        in_.read(reinterpret_cast<char*>(out.data()),
                 static_cast<std::streamsize>(count * sizeof(T)));
        if (!in_) return std::nullopt;
        return out;
    }
    bool inside(std::uint64_t offset, std::uint64_t bytes) const {
        return offset <= size_ && bytes <= size_ - offset;
    }

  private:
    std::ifstream in_;
    std::uint64_t size_ = 0;
};

std::string cut_off(std::uint64_t have, std::uint64_t need) {
    return "it is cut off: " + std::to_string(have) + " bytes of at least " + std::to_string(need) +
           "; copy it again";
}

std::string header_problem(const ElfW(Ehdr) & header) {
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        return "it is not a shared library (no ELF header)";
    }
    const bool other_machine = native_machine != EM_NONE && header.e_machine != native_machine;
    if (header.e_ident[EI_CLASS] != native_class || header.e_ident[EI_DATA] != native_order ||
        other_machine) {
        return "it is built for another kind of machine; build it for this one";
    }
    if (header.e_type != ET_DYN) return "it is an ELF file, but not a shared library";
    if (header.e_phentsize != sizeof(ElfW(Phdr)) ||
        (header.e_shnum != 0 && header.e_shentsize != sizeof(ElfW(Shdr)))) {
        return "its ELF header is damaged";
    }
    return {};
}

/// The end of what the file's own tables say it holds; 0 when that cannot be.
std::uint64_t needed_size(const ElfW(Ehdr) & header, Reader& reader) {
    const std::uint64_t program_end =
        header.e_phoff + std::uint64_t{header.e_phnum} * sizeof(ElfW(Phdr));
    std::uint64_t need = program_end;
    if (header.e_shnum != 0) {
        need = std::max<std::uint64_t>(
            need, header.e_shoff + std::uint64_t{header.e_shnum} * sizeof(ElfW(Shdr)));
    }
    const auto segments = reader.table<ElfW(Phdr)>(header.e_phoff, header.e_phnum);
    if (!segments) return need > reader.size() ? need : 0;
    for (const auto& segment : *segments) {
        if (segment.p_type != PT_LOAD) continue;
        const std::uint64_t end = std::uint64_t{segment.p_offset} + segment.p_filesz;
        if (end < segment.p_offset) return 0;
        need = std::max(need, end);
    }
    return need;
}

/// The N of an exported `penstock_plugin_v<N>`.
std::optional<std::uint32_t> entry_major(std::string_view name) {
    if (name.substr(0, entry_prefix.size()) != entry_prefix) return std::nullopt;
    name.remove_prefix(entry_prefix.size());
    std::uint32_t major = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), major);
    if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return major;
}

std::optional<std::vector<std::uint32_t>> exported_majors(const ElfW(Ehdr) & header,
                                                          Reader& reader) {
    if (header.e_shnum == 0) return std::nullopt;
    const auto sections = reader.table<ElfW(Shdr)>(header.e_shoff, header.e_shnum);
    if (!sections) return std::nullopt;
    std::vector<std::uint32_t> majors;
    for (const auto& section : *sections) {
        if (section.sh_type != SHT_DYNSYM) continue;
        if (section.sh_link >= sections->size()) return std::nullopt;
        const auto& names_section = (*sections)[section.sh_link];
        const auto symbols =
            reader.table<ElfW(Sym)>(section.sh_offset, section.sh_size / sizeof(ElfW(Sym)));
        const auto names = reader.table<char>(names_section.sh_offset, names_section.sh_size);
        if (!symbols || !names) return std::nullopt;
        for (const auto& symbol : *symbols) {
            if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= names->size()) continue;
            const char* begin = names->data() + symbol.st_name;
            const std::string_view name(begin, strnlen(begin, names->size() - symbol.st_name));
            if (const auto major = entry_major(name)) majors.push_back(*major);
        }
    }
    std::sort(majors.begin(), majors.end());
    return majors;
}

}  // namespace

LibraryFile inspect_library(const std::filesystem::path& file) {
    Reader reader(file);
    LibraryFile out;
    if (!reader.good()) {
        out.problem = "it cannot be read; check its permissions";
        return out;
    }
    const auto header = reader.table<ElfW(Ehdr)>(0, 1);
    if (!header) {
        const auto start = reader.table<char>(0, std::min<std::uint64_t>(reader.size(), SELFMAG));
        const bool elf = start && std::string_view(start->data(), start->size()) == ELFMAG;
        out.problem = elf ? cut_off(reader.size(), sizeof(ElfW(Ehdr)))
                          : "it is not a shared library (no ELF header)";
        return out;
    }
    const ElfW(Ehdr)& first = header->front();
    out.problem = header_problem(first);
    if (!out.problem.empty()) return out;
    const std::uint64_t need = needed_size(first, reader);
    if (need == 0) {
        out.problem = "its ELF header is damaged";
    } else if (need > reader.size()) {
        out.problem = cut_off(reader.size(), need);
    } else {
        out.majors = exported_majors(first, reader);
    }
    return out;
}

}  // namespace penstock::plugin
