#include "engine/io/remote_page.h"

#include <charconv>
#include <utility>

#include "engine/io/json_text.h"
#include "engine/io/remote_source.h"

namespace penstock::io {

namespace {

using Kind = JsonCursor::Kind;

RemoteError not_an_answer(const std::string& why) {
    return {
        500, "exception",
        "Error parsing the response, remote is likely not an Elasticsearch instance (" + why + ")"};
}

/// Calls `each` with every member of the object that comes next, behind its name; what it does not
/// read it skips.
template <class Each>
void for_members(JsonCursor& cursor, Each each) {
    if (cursor.kind() != Kind::object) return cursor.skip();
    bool first = true;
    std::string_view name;
    if (!cursor.enter()) return;
    while (cursor.next_member(first, name))
        each(name);
}

/// Nothing when what comes next is no string, which it skips.
std::string text_of(JsonCursor& cursor) {
    if (cursor.kind() == Kind::string) return unescape(cursor.string());
    cursor.skip();
    return {};
}

std::optional<std::int64_t> integer_of(JsonCursor& cursor) {
    if (cursor.kind() != Kind::number) {
        cursor.skip();
        return std::nullopt;
    }
    const std::string_view digits = cursor.number();
    std::int64_t number = 0;
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

class PageReader {
  public:
    PageReader(std::string_view text, std::size_t most) : text_(text), most_(most), cursor_(text) {}

    RemotePage read() {
        if (cursor_.kind() != Kind::object) throw not_an_answer("it is no JSON object");
        for_members(cursor_, [&](std::string_view name) { member(name); });
        if (!cursor_.finished() || !cursor_.ok()) throw not_an_answer(cursor_.error());
        if (!has_hits_) throw not_an_answer("it has no [hits]");
        return std::move(page_);
    }

  private:
    void member(std::string_view name) {
        if (name == "_scroll_id") {
            page_.scroll_id = text_of(cursor_);
        } else if (name == "timed_out") {
            page_.timed_out = raw() == "true";
        } else if (name == "_shards") {
            for_members(cursor_, [&](std::string_view inner) { shards_member(inner); });
        } else if (name == "hits" && cursor_.kind() == Kind::object) {
            for_members(cursor_, [&](std::string_view inner) { hits_member(inner); });
        } else {
            cursor_.skip();
        }
    }

    std::string_view raw() {
        cursor_.kind();  // behind white space
        const std::size_t begin = cursor_.offset();
        cursor_.skip();
        return text_.substr(begin, cursor_.offset() - begin);
    }

    void shards_member(std::string_view name) {
        if (name != "failures" || cursor_.kind() != Kind::array) return cursor_.skip();
        bool first = true;
        if (!cursor_.enter()) return;
        while (cursor_.next_element(first)) {
            const std::string_view failure = raw();
            if (page_.shard_failure.empty()) page_.shard_failure = failure;
        }
    }

    void hits_member(std::string_view name) {
        if (name == "total") {
            total();
        } else if (name == "hits" && cursor_.kind() == Kind::array) {
            hits();
        } else {
            cursor_.skip();
        }
    }

    /// A number until Elasticsearch 6, {"value", "relation"} from 7 on.
    void total() {
        std::optional<std::int64_t> number;
        bool exact = true;
        if (cursor_.kind() == Kind::object) {
            for_members(cursor_, [&](std::string_view name) {
                if (name == "value") {
                    number = integer_of(cursor_);
                } else if (name == "relation") {
                    exact = text_of(cursor_) == "eq";
                } else {
                    cursor_.skip();
                }
            });
        } else {
            number = integer_of(cursor_);
        }
        if (number && *number >= 0 && exact) page_.total = static_cast<std::uint64_t>(*number);
    }

    void hits() {
        has_hits_ = true;
        bool first = true;
        if (!cursor_.enter()) return;
        while (cursor_.next_element(first)) {
            if (page_.hits.size() == most_)
                throw not_an_answer("it has more than the [" + std::to_string(most_) +
                                    "] documents that were asked for");
            RemoteHit& hit = page_.hits.emplace_back();
            for_members(cursor_, [&](std::string_view name) { hit_member(name, hit); });
            if (cursor_.ok() && hit.id.empty()) throw not_an_answer("a hit has no [_id]");
        }
    }

    void hit_member(std::string_view name, RemoteHit& hit) {
        if (name == "_source" && cursor_.kind() == Kind::object) {
            const std::string_view source = raw();
            hit.begin = static_cast<std::size_t>(source.data() - text_.data());
            hit.size = source.size();
        } else if (name == "_id") {
            hit.id = text_of(cursor_);
        } else if (name == "_index") {
            hit.index = text_of(cursor_);
        } else if (name == "_routing") {
            hit.routing = text_of(cursor_);
        } else if (name == "_version") {
            hit.version = integer_of(cursor_).value_or(-1);
        } else {
            cursor_.skip();
        }
    }

    std::string_view text_;
    std::size_t most_;
    JsonCursor cursor_;
    RemotePage page_;
    bool has_hits_ = false;
};

/// "7.17.3": its first two numbers; false when there are none.
bool read_number(std::string_view text, RemoteVersion& version) {
    const char* end = text.data() + text.size();
    const auto major = std::from_chars(text.data(), end, version.major);
    if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return false;
    return std::from_chars(major.ptr + 1, end, version.minor).ec == std::errc();
}

}  // namespace

RemotePage parse_remote_page(std::string_view answer, std::size_t most) {
    return PageReader(answer, most).read();
}

bool RemoteVersion::at_least(int wanted_major, int wanted_minor) const {
    const std::pair mine = elasticsearch ? std::pair(major, minor) : std::pair(7, 10);
    return mine >= std::pair(wanted_major, wanted_minor);
}

RemoteVersion parse_remote_version(std::string_view answer) {
    RemoteVersion version;
    std::string number;
    JsonCursor cursor(answer);
    const auto version_member = [&](std::string_view name) {
        if (name == "number") {
            number = text_of(cursor);
        } else if (name == "distribution") {
            version.elasticsearch = text_of(cursor) != "opensearch";
        } else {
            cursor.skip();
        }
    };
    for_members(cursor, [&](std::string_view name) {
        if (name == "version") {
            for_members(cursor, version_member);
        } else {
            cursor.skip();
        }
    });
    if (!cursor.finished() || !read_number(number, version))
        throw not_an_answer("it does not say its version");
    if (!version.elasticsearch || version.major >= 5) return version;
    throw RemoteError(
        400, "illegal_argument_exception",
        "the remote is of version [" + number + "]; Elasticsearch is read from version 5.0 on");
}

}  // namespace penstock::io
