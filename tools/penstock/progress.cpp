#include "tools/penstock/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace penstock::tools {

namespace {

constexpr auto terminal_interval = std::chrono::milliseconds(200);
constexpr auto plain_interval = std::chrono::seconds(5);

std::optional<double> part_done(const io::Progress& progress) {
    auto ratio = [](std::uint64_t done, std::uint64_t total) {
        return total == 0 ? 1.0
                          : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    };
    if (progress.records_total) return ratio(progress.records_read, *progress.records_total);
    if (progress.bytes_total) return ratio(progress.bytes_read, *progress.bytes_total);
    return std::nullopt;
}

}  // namespace

std::string group_digits(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;) {
        at -= 3;
        digits.insert(at, ",");
    }
    return digits;
}

std::string human_duration(std::chrono::nanoseconds duration) {
    auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    if (milliseconds < 1000) return std::to_string(milliseconds) + " ms";
    auto seconds = milliseconds / 1000;
    char text[40];
    if (seconds < 10) {
        std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(milliseconds) / 1000);
    } else if (seconds < 60) {
        std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(seconds));
    } else if (seconds < 3600) {
        std::snprintf(text, sizeof text, "%lldm %02llds", static_cast<long long>(seconds / 60),
                      static_cast<long long>(seconds % 60));
    } else {
        std::snprintf(text, sizeof text, "%lldh %02lldm", static_cast<long long>(seconds / 3600),
                      static_cast<long long>(seconds / 60 % 60));
    }
    return text;
}

ProgressLine::ProgressLine(bool quiet)
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + terminal_interval) {}

void ProgressLine::update(const job::ReindexStatus& status) {
    auto now = std::chrono::steady_clock::now();
    if (quiet_ || now < next_) return;
    next_ =
        now + (terminal_ ? std::chrono::steady_clock::duration(terminal_interval) : plain_interval);
    write(status, false);
}

void ProgressLine::finish(const job::ReindexStatus& status) {
    if (!quiet_) write(status, true);
}

void ProgressLine::write(const job::ReindexStatus& status, bool last) {
    double seconds = std::chrono::duration<double>(status.took).count();
    double rate = seconds > 0 ? static_cast<double>(status.written_now) / seconds : 0;
    char rate_text[40];
    std::snprintf(rate_text, sizeof rate_text, rate < 10 ? "%.1f" : "%.0f", rate);
    std::string line = group_digits(status.totals.read) + " documents  " + rate_text + " docs/s";
    if (auto done = part_done(status.progress); done && !last) {
        // Reading runs ahead of writing by the batches in flight: count what is written.
        double ahead =
            status.progress.records_read > 0 && status.read_now > 0
                ? static_cast<double>(status.written_now) / static_cast<double>(status.read_now)
                : 1.0;
        double part = std::clamp(*done * ahead, 0.0, 1.0);
        line += "  " + std::to_string(static_cast<int>(part * 100)) + " %";
        if (part > 0.01 && status.written_now > 0) {
            auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(status.took *
                                                                             ((1 - part) / part));
            line += "  " + human_duration(left) + " left";
        }
    }
    if (last) line += "  in " + human_duration(status.took);
    if (status.totals.failed > 0) line += "  " + group_digits(status.totals.failed) + " failed";
    if (!terminal_) {
        std::fprintf(stderr, "%s\n", line.c_str());
        return;
    }
    std::string padded = line;
    padded.resize(std::max(line.size(), width_), ' ');
    width_ = line.size();
    std::fprintf(stderr, "\r%s%s", padded.c_str(), last ? "\n" : "");
    std::fflush(stderr);
}

}  // namespace penstock::tools
