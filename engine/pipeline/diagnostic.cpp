#include "engine/pipeline/diagnostic.h"

#include <algorithm>
#include <tuple>

namespace penstock::pipeline {

namespace {

/// Longer names are nobody's typing mistake, and the comparison is quadratic.
constexpr std::size_t longest_name = 80;

/// Files are not trusted: what they say must not move the cursor or colour the terminal.
void append_printable(std::string_view text, std::string& out) {
    static constexpr char hex[] = "0123456789abcdef";
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else {
            out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        }
    }
}

auto order(const Diagnostic& d) {
    return std::tie(d.file, d.position.line, d.position.column);
}

auto content(const Diagnostic& d) {
    return std::tie(d.severity, d.pipeline, d.processor, d.message, d.hint);
}

std::string folded(std::string_view name) {
    std::string folded(name);
    for (char& c : folded) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (c == '-' || c == ' ' || c == '.') c = '_';
    }
    return folded;
}

/// Damerau-Levenshtein distance in its "optimal string alignment" form: insert, delete, replace,
/// swap neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::string Diagnostic::text() const {
    std::string out;
    append_printable(file, out);
    if (position.line > 0) out += ':' + std::to_string(position.line);
    if (position.line > 0 && position.column > 0) out += ':' + std::to_string(position.column);
    if (!out.empty()) out += ": ";
    out += severity == Severity::error ? "error: " : "warning: ";
    if (!processor.empty()) {
        out += '[';
        append_printable(processor, out);
        out += "] ";
    }
    append_printable(message, out);
    if (!hint.empty()) {
        out += " (";
        append_printable(hint, out);
        out += ')';
    }
    return out;
}

void Diagnostics::add(Diagnostic diagnostic) {
    if (diagnostic.severity == Severity::error) ++errors_;
    if (all_.size() >= most_kept) {
        ++left_out_;
        return;
    }
    auto [begin, end] = std::equal_range(
        all_.begin(), all_.end(), diagnostic,
        [](const Diagnostic& a, const Diagnostic& b) { return order(a) < order(b); });
    bool known = std::any_of(
        begin, end, [&](const Diagnostic& other) { return content(other) == content(diagnostic); });
    if (!known) all_.insert(end, std::move(diagnostic));
}

std::string Diagnostics::text() const {
    std::string out;
    for (const Diagnostic& diagnostic : all_) {
        if (!out.empty()) out += '\n';
        out += diagnostic.text();
    }
    if (left_out_ > 0) out += "\n... and " + std::to_string(left_out_) + " more";
    return out;
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates) {
    if (name.empty() || name.size() > longest_name) return {};
    std::string wanted = folded(name);
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
    for (std::string_view candidate : candidates) {
        if (candidate.size() > longest_name) continue;
        std::size_t found = distance(wanted, folded(candidate));
        // A distance of the whole length would make any two short names alike.
        if (found < best_distance && found < std::max(wanted.size(), candidate.size())) {
            best = candidate;
            best_distance = found;
        }
    }
    return best;
}

}  // namespace penstock::pipeline
