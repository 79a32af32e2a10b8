#include "tests/unit/text/shared_models.h"

#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>

namespace penstock::text {
namespace {

void collect_strings(const boost::json::value& value, std::vector<std::string>& out) {
    if (value.is_string()) out.emplace_back(value.get_string());
    if (value.is_object()) {
        for (const auto& member : value.get_object())
            collect_strings(member.value(), out);
    }
}

}  // namespace

std::filesystem::path shared_folder() {
    if (const char* folder = std::getenv("PENSTOCK_SHARED")) return folder;
    return std::filesystem::path(PENSTOCK_SOURCE_DIR) / ".." / "shared";
}

std::vector<std::string> corpus_strings(std::string_view name) {
    std::ifstream file(shared_folder() / "corpora" / name);
    std::vector<std::string> strings;
    for (std::string line; std::getline(file, line);)
        collect_strings(boost::json::parse(line), strings);
    return strings;
}

TestFolder::TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-text-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
}

TestFolder::~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void TestFolder::write(std::string_view name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
}

std::string random_text(std::mt19937& random, std::size_t most) {
    static constexpr std::array<std::string_view, 52> kParts = {
        "a",
        "Z",
        "the",
        " the",
        "ing ",
        "word",
        "42",
        "3.14",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        ".",
        ". ",
        "! ",
        "? ",
        ", ",
        "(",
        "\"",
        "-",
        "_",
        "#",
        "\n# ",
        "[MASK]",
        "<s>",
        "é",
        "e\u0301",
        "ß",
        "İ",
        "Σ",
        "Ж",
        "й",
        "中",
        "文。",
        "日本語",
        "カタカナ",
        "한국",
        "\u1112\u1161\u11ab",
        "ไทย",
        "हिन्दी",
        "ﬁ",
        "ﷺ",
        "①",
        "½",
        "\u00A0",
        "\u3000",
        "\U0001F468\u200D\U0001F469\u200D\U0001F467",
        "\U0001F1E9\U0001F1EA",
        "\U0001F44D\U0001F3FD",
        "\u200B"};
    std::string text;
    const std::size_t parts = std::uniform_int_distribution<std::size_t>(0, most)(random);
    std::uniform_int_distribution<std::size_t> any(0, kParts.size() - 1);
    for (std::size_t part = 0; part < parts; ++part)
        text += kParts[any(random)];
    return text;
}

bool is_code_point_boundary(std::string_view text, std::size_t at) {
    return at == text.size() ||
           (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80);
}

}  // namespace penstock::text
