#include "engine/io/remote_source.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <utility>

#include "engine/io/json_text.h"
#include "engine/io/remote_client.h"
#include "engine/io/remote_page.h"

namespace penstock::io {

namespace {

using std::chrono::milliseconds;

/// As many as the reference's: some minutes in all.
constexpr int kRetries = 11;
constexpr milliseconds kLongestRetry{60'000};
/// The longest that Elasticsearch keeps a scroll, unless it is told otherwise.
constexpr milliseconds kLongestKeepAlive{24 * 3600 * 1000};
/// The scroll is cleared for the other side's sake: nobody here waits long for it.
constexpr milliseconds kLastWords{5'000};
constexpr std::size_t kShownAnswer = 4096;

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~*").find(c) != std::string_view::npos;
}

std::string encode_percent(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c)) {
            out.push_back(c);
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('%');
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

class RemoteSource final : public Source {
  public:
    explicit RemoteSource(RemoteOptions options)
        : options_(std::move(options)), client_(options_) {}

    bool read(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) override {
        out.clear();
        out.origins.push_back(options_.address.text());
        out.end_position = position();
        try {
            if (next_ == page_.hits.size() && !fetch(max_records)) return false;
        } catch (const Interrupted&) {
            return false;
        }
        while (next_ < page_.hits.size() && out.records.size() < max_records &&
               (out.records.empty() || out.buffer.size() < max_bytes))
            append(page_.hits[next_++], out);
        return true;
    }

    std::string position() const override { return "{\"kind\":\"remote\"}"; }

    void seek(std::string_view) override {
        throw Error(
            "cannot resume: a remote cluster's scroll has ended with the run that read it; "
            "start anew, and with op_type [create] and conflicts [proceed] only what is "
            "missing is written");
    }

    Progress progress() const override {
        Progress progress;
        progress.records_read = read_;
        progress.records_total = total_;
        progress.retries = retries_;
        return progress;
    }

    void interrupt() override { client_.interrupt(); }

    void close() override {
        if (scroll_id_.empty()) return;
        std::string body = "{\"scroll_id\":[";
        append_json_string(body, std::exchange(scroll_id_, {}));
        body += "]}";
        client_.last_words(kLastWords);
        try {
            client_.ask("DELETE", target("/_search/scroll"), body);
        } catch (const std::exception&) {
            // It runs out by itself.
        }
    }

  private:
    std::string target(const std::string& path) const {
        return options_.address.path_prefix + path;
    }

    // ---- asking

    std::string ask(std::string_view method, const std::string& target, const std::string& body) {
        for (int tries = 0;; ++tries) {
            RemoteAnswer answer = client_.ask(method, target, body);
            if (answer.status >= 200 && answer.status < 300) return std::move(answer.body);
            const bool busy = answer.status == 429 || answer.status == 503;
            if (!busy || tries == kRetries) throw refused(answer);
            ++retries_;
            client_.wait(delay(tries, answer));
        }
    }

    /// Doubling with full jitter, and no sooner than the remote says.
    milliseconds delay(int tries, const RemoteAnswer& answer) {
        const milliseconds most = std::min(options_.first_retry * (1 << tries), kLongestRetry);
        std::uniform_int_distribution<std::int64_t> any(0, most.count());
        const milliseconds jittered(any(random_));
        if (!answer.retry_after) return jittered;
        return std::clamp<milliseconds>(
            jittered, std::min<milliseconds>(*answer.retry_after, kLongestRetry), kLongestRetry);
    }

    /// As the reference, whose reason is the answer's body, but with the host and its status.
    RemoteError refused(const RemoteAnswer& answer) const {
        std::string reason = "the remote [" + options_.address.text() + "] answered " +
                             std::to_string(answer.status) + " " + shown(answer.reason);
        if (answer.status == 401) reason += " (check the credentials)";
        if (answer.status >= 300 && answer.status < 400)
            reason += " (say the [host] that it points to: redirections are not followed)";
        reason += answer.body.empty() ? ": No error body." : ": body=" + shown(answer.body);
        const bool error = answer.status >= 400 && answer.status < 600;
        return {error ? answer.status : 500, "status_exception", reason};
    }

    /// Its beginning, cut between characters.
    static std::string shown(std::string_view bytes) {
        if (!is_valid_utf8(bytes)) return "(not text)";
        if (bytes.size() <= kShownAnswer) return std::string(bytes);
        std::size_t end = kShownAnswer;
        while (end > 0 && (static_cast<unsigned char>(bytes[end]) & 0xC0U) == 0x80U)
            --end;
        return std::string(bytes.substr(0, end)) + "...";
    }

    // ---- the scroll

    /// The next batch; false when there is none.
    bool fetch(std::size_t max_records) {
        if (ended_) return false;
        text_ = begun_ ? scroll() : search(max_records);
        begun_ = true;
        page_ = parse_remote_page(text_, asked_);
        next_ = 0;
        if (!page_.scroll_id.empty()) scroll_id_ = std::move(page_.scroll_id);
        check_whole();
        if (!page_.hits.empty()) return true;
        ended_ = true;
        check_end();
        close();
        return false;
    }

    std::string search(std::size_t max_records) {
        const RemoteVersion version = parse_remote_version(ask("GET", target("/"), ""));
        asked_ = std::min(options_.size, max_records);
        std::string indices;
        for (const std::string& index : options_.indices)
            indices += (indices.empty() ? "/" : ",") + encode_percent(index);
        std::string path = indices + "/_search?scroll=" + keep_alive() +
                           "&size=" + std::to_string(asked_) + "&version=true";
        // Older ones know no such parameters, and have no such answers.
        if (version.at_least(6, 3)) path += "&allow_partial_search_results=false";
        if (version.at_least(9, 2)) path += "&_source_exclude_vectors=false";
        return ask("POST", target(path), search_body());
    }

    std::string search_body() const {
        std::string body =
            "{\"query\":" + (options_.query.empty() ? "{\"match_all\":{}}" : options_.query);
        body += ",\"sort\":" + (options_.sort.empty() ? "[\"_doc\"]" : options_.sort);
        if (!options_.source_filter.empty()) body += ",\"_source\":" + options_.source_filter;
        return body + "}";
    }

    std::string scroll() {
        if (scroll_id_.empty()) throw incomplete("gave no [_scroll_id]");
        std::string body = "{\"scroll\":\"" + keep_alive() + "\",\"scroll_id\":";
        append_json_string(body, scroll_id_);
        return ask("POST", target("/_search/scroll"), body + "}");
    }

    std::string keep_alive() const {
        const milliseconds pause = options_.pause ? options_.pause() : milliseconds(0);
        const milliseconds room =
            kLongestKeepAlive - std::min(options_.keep_alive, kLongestKeepAlive);
        return std::to_string((kLongestKeepAlive - room + std::min(pause, room)).count()) + "ms";
    }

    RemoteError incomplete(const std::string& what) const {
        return {500, "exception",
                "the remote [" + options_.address.text() + "] " + what +
                    ": what it gave is not all that there is"};
    }

    void check_whole() {
        if (!page_.shard_failure.empty())
            throw incomplete("could not search a shard (" + page_.shard_failure + ")");
        if (page_.timed_out) throw incomplete("ran out of time for its search");
        if (page_.total) total_ = page_.total;
        if (total_ && read_ + page_.hits.size() > *total_)
            throw incomplete("gave more documents than the " + std::to_string(*total_) +
                             " that it has found");
    }

    /// A request that was lost, or made twice by something in between, is found here.
    void check_end() const {
        if (total_ && read_ < *total_)
            throw incomplete("gave " + std::to_string(read_) + " documents of the " +
                             std::to_string(*total_) + " that it has found");
    }

    void append(RemoteHit& hit, RecordBatch& out) {
        if (hit.size == 0) {
            throw RemoteError(400, "illegal_argument_exception",
                              "[" + hit.index + "][" + hit.id + "] didn't store _source");
        }
        Record& record = out.records.emplace_back();
        record.begin = out.buffer.size();
        record.size = hit.size;
        record.offset = read_++;
        record.version = hit.version;
        record.id = std::move(hit.id);
        record.index = std::move(hit.index);
        record.routing = std::move(hit.routing);
        out.buffer.append(text_, hit.begin, hit.size);
    }

    const RemoteOptions options_;
    RemoteClient client_;
    std::string text_;  // of the page
    RemotePage page_;
    std::size_t next_ = 0;   // of the page's hits
    std::size_t asked_ = 0;  // hits that a page may have
    std::string scroll_id_;
    bool begun_ = false;
    bool ended_ = false;
    std::uint64_t read_ = 0;
    std::optional<std::uint64_t> total_;
    std::uint64_t retries_ = 0;
    std::mt19937_64 random_{std::random_device()()};
};

/// A name, an IPv4 address, or an IPv6 address in brackets.
bool is_host(std::string_view host) {
    const bool brackets = host.starts_with('[');
    if (brackets && !host.ends_with(']')) return false;
    if (brackets) host = host.substr(1, host.size() - 2);
    return !host.empty() && host.size() <= 253 &&
           std::all_of(host.begin(), host.end(), [&](char c) {
               return brackets ? std::string_view("0123456789abcdefABCDEF:.").find(c) !=
                                     std::string_view::npos
                               : is_unreserved(c) && c != '*' && c != '~';
           });
}

bool is_path(std::string_view path) {
    return std::all_of(path.begin(), path.end(),
                       [](char c) { return is_unreserved(c) || c == '/' || c == '%'; });
}

}  // namespace

std::optional<RemoteAddress> parse_remote_address(std::string_view text) {
    RemoteAddress address;
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) return std::nullopt;
    address.scheme = text.substr(0, colon);
    text.remove_prefix(colon + 3);
    const std::size_t slash = std::min(text.find('/'), text.size());
    std::string_view path = text.substr(slash);
    text = text.substr(0, slash);
    const std::size_t port = text.rfind(':');
    if (port == std::string_view::npos) return std::nullopt;
    address.host = text.substr(0, port);
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data() + port + 1, end, address.port);
    while (path.ends_with('/'))
        path.remove_suffix(1);
    address.path_prefix = path;
    const bool good = (address.scheme == "http" || address.scheme == "https") &&
                      problem == std::errc() && stop == end && is_host(address.host) &&
                      is_path(path);
    return good ? std::optional(std::move(address)) : std::nullopt;
}

std::unique_ptr<Source> open_remote(RemoteOptions options) {
    return std::make_unique<RemoteSource>(std::move(options));
}

}  // namespace penstock::io
