#include "tools/serve/reindex_remote.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "engine/runtime/error.h"
#include "tools/serve/api_error.h"
#include "tools/serve/http_message.h"
#include "tools/serve/json_body.h"
#include "tools/serve/wildcard.h"

namespace penstock::serve {

namespace {

using document::Member;
using document::Object;
using std::chrono::milliseconds;

std::string text_of(const Member& member) {
    if (member.value.is_string()) return std::string(member.value.as_string());
    throw illegal_argument("Expected [" + std::string(member.key()) + "] to be a string but was [" +
                           json_text(member.value) + "]");
}

std::string secret_of(const Member& member) {
    if (member.value.is_string()) return std::string(member.value.as_string());
    throw illegal_argument("Expected [" + std::string(member.key()) + "] to be a string");
}

io::RemoteAddress address_of(const std::string& text) {
    // Checked first, and not repeated: a URL with a password in it would be in the answer and the
    // log.
    const std::size_t slash = text.find('/', text.find("://") + 3);
    if (text.substr(0, slash).find('@') != std::string::npos) {
        throw illegal_argument(
            "[host] must not hold credentials: put them in [username] and [password]");
    }
    if (auto address = io::parse_remote_address(text)) return std::move(*address);
    throw illegal_argument(
        "[host] must be of the form [scheme]://[host]:[port](/[pathPrefix])? but was [" + text +
        "]");
}

/// Elasticsearch looks at the unit first, so that "borked" is no number of days.
ApiError bad_time(std::string_view name, const std::string& text) {
    for (const std::string_view unit : {"nanos", "micros", "ms", "s", "m", "h", "d"}) {
        if (!text.ends_with(unit)) continue;
        const ApiError cause(
            400, "number_format_exception",
            "For input string: \"" + text.substr(0, text.size() - unit.size()) + "\"");
        return illegal_argument("failed to parse [" + text + "]").with("caused_by", cause.object());
    }
    return illegal_argument("failed to parse setting [" + std::string(name) + "] with value [" +
                            text + "] as a time value: unit is missing or unrecognized");
}

milliseconds time_of(const Member& member) {
    const std::string text = text_of(member);
    const auto time = parse_time(text);
    if (!time) throw bad_time(member.key(), text);
    // No limit would be one that a silent remote decides on.
    if (time->count() <= 0)
        throw illegal_argument("[" + std::string(member.key()) +
                               "] must be greater than 0, but was [" + text + "]");
    return *time;
}

std::vector<std::pair<std::string, std::string>> headers_of(const Member& member) {
    if (!member.value.is_object())
        throw illegal_argument("Expected [headers] to be an object containing strings");
    std::vector<std::pair<std::string, std::string>> headers;
    for (const Member& header : member.value.as_object()) {
        if (!header.value.is_string())
            throw illegal_argument("Expected [headers] to be an object containing strings but [" +
                                   std::string(header.key()) + "] is none");
        headers.emplace_back(header.key(), header.value.as_string());
    }
    return headers;
}

/// False for a member that is not known.
bool read_member(const Member& member, io::RemoteOptions& options) {
    const std::string_view key = member.key();
    if (key == "host") {
        options.address = address_of(text_of(member));
    } else if (key == "username") {
        options.username = secret_of(member);
    } else if (key == "password") {
        options.password = secret_of(member);
    } else if (key == "api_key") {
        options.api_key = secret_of(member);
    } else if (key == "headers") {
        options.headers = headers_of(member);
    } else if (key == "socket_timeout") {
        options.socket_timeout = time_of(member);
    } else if (key == "connect_timeout") {
        options.connect_timeout = time_of(member);
    } else {
        return false;
    }
    return true;
}

void check_credentials(const io::RemoteOptions& options) {
    if (options.username.empty() && !options.password.empty())
        throw illegal_argument("[password] of the remote needs a [username]");
    if (!options.username.empty() && !options.api_key.empty())
        throw illegal_argument("[remote] takes [username] and [password] or [api_key], not both");
}

bool is_loopback(std::string_view host) {
    if (host == "localhost") return true;
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    boost::system::error_code problem;
    const auto address = boost::asio::ip::make_address(host, problem);
    return !problem && address.is_loopback();
}

}  // namespace

io::RemoteOptions parse_remote(const Object& remote) {
    io::RemoteOptions options;
    std::string unknown;
    if (member(remote, "host") == nullptr)
        throw illegal_argument("[host] must be specified to reindex from a remote cluster");
    for (const Member& one : remote) {
        if (one.value.is_null() || read_member(one, options)) continue;
        unknown += (unknown.empty() ? "" : ",") + std::string(one.key());
    }
    if (!unknown.empty())
        throw illegal_argument("Unsupported fields in [remote]: [" + unknown + "]");
    check_credentials(options);
    return options;
}

RemoteWhitelist::RemoteWhitelist(std::vector<std::string> patterns)
    : patterns_(std::move(patterns)) {
    std::erase(patterns_, "");
    for (const std::string& pattern : patterns_) {
        if (pattern.find_first_not_of('*') != std::string::npos) continue;
        throw Error("Refusing to start because whitelist [" + pattern +
                    "] accepts all addresses. This would allow users to reindex-from-remote any "
                    "URL they like effectively having this server make HTTP requests for them.");
    }
}

RemoteWhitelist RemoteWhitelist::loopback() {
    RemoteWhitelist list;
    list.loopback_ = true;
    return list;
}

void RemoteWhitelist::check(const io::RemoteAddress& address) const {
    if (loopback_ && is_loopback(address.host)) return;
    const std::string wanted = address.authority();
    for (const std::string& pattern : patterns_) {
        if (matches_wildcard(pattern, wanted)) return;
    }
    throw illegal_argument("[" + wanted + "] not whitelisted in reindex.remote.whitelist");
}

}  // namespace penstock::serve
