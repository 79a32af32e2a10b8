#include "tools/penstock/text_layout.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace penstock::tools {

namespace {

std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace

std::size_t output_width() {
    winsize size{};
    if (::isatty(STDOUT_FILENO) != 1 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
        size.ws_col == 0)
        return 100;
    return std::clamp<std::size_t>(size.ws_col, 40, 120);
}

std::string shorten(std::string_view text, std::size_t bytes) {
    std::string out;
    bool blank = false;
    for (char c : text) {
        if (is_blank(c)) {
            blank = !out.empty();
            continue;
        }
        if (blank) {
            if (out.size() >= bytes) return out + " ...";
            out += ' ';
            blank = false;
        }
        // A word without end is cut too, between code points.
        if (out.size() >= bytes * 2 && (static_cast<unsigned char>(c) & 0xc0) != 0x80)
            return out + "...";
        out += c;
    }
    return out;
}

std::string wrap(std::string_view text, std::size_t width, std::string_view indent) {
    std::string out;
    std::string line(indent);
    std::size_t used = 0;
    while (!text.empty()) {
        std::size_t end = std::min(text.find(' '), text.size());
        std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), end + 1));
        if (used > 0 && columns(indent) + used + 1 + columns(word) > width) {
            out += line + '\n';
            line = indent;
            used = 0;
        }
        if (used > 0) {
            line += ' ';
            ++used;
        }
        line += word;
        used += columns(word);
    }
    return used > 0 ? out + line + '\n' : out;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], columns(row[i]));
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) line.append(widths[i] - columns(row[i]) + 2, ' ');
        }
        out += line + '\n';
    }
    return out;
}

std::string byte_size(std::uint64_t bytes) {
    static constexpr const char* units[] = {"b", "kb", "mb", "gb", "tb", "pb"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    char text[40];
    std::snprintf(text, sizeof text, "%.1f", value);
    std::string out = text;
    if (out.ends_with(".0")) out.resize(out.size() - 2);
    return out + units[unit];
}

}  // namespace penstock::tools
