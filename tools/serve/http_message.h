// A request and its response, free of any HTTP library.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::serve {

struct Principal;

/// The query string's parameters, decoded. The typed reads throw ApiError 400 in Elasticsearch's
/// words.
class Parameters {
  public:
    Parameters() = default;
    /// Throws ApiError for a bad percent escape, and for what is not UTF-8.
    static Parameters parse(std::string_view query);

    bool has(std::string_view name) const { return find(name) != nullptr; }
    const std::string* find(std::string_view name) const;
    std::string text(std::string_view name, std::string_view otherwise = {}) const;
    /// `?refresh` alone counts as true.
    bool flag(std::string_view name, bool otherwise = false) const;
    std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
    /// 30s, 500ms, 1m; -1 and 0 without unit.
    std::chrono::milliseconds time(std::string_view name,
                                   std::chrono::milliseconds otherwise) const;
    /// Parts of a comma-separated list; empty when absent.
    std::vector<std::string> list(std::string_view name) const;
    /// In the order of the names.
    std::vector<std::string> names() const;
    void set(std::string name, std::string value) { values_[std::move(name)] = std::move(value); }

  private:
    std::map<std::string, std::string, std::less<>> values_;
};

/// "30s" and the like; nothing when it is none. -1 is allowed and means no limit.
std::optional<std::chrono::milliseconds> parse_time(std::string_view text);
/// "%2F" and, in query strings, "+"; throws ApiError.
std::string decode_percent(std::string_view text, bool plus_is_blank);
/// For one part of a path or query: all but letters, digits and `-._~` becomes "%2F". A blank
/// becomes %20, which decodes alike in both.
std::string encode_percent(std::string_view text);
std::vector<std::string> split_list(std::string_view text, char separator = ',');

/// A request's body, decompressed, that is read once.
class RequestBody {
  public:
    virtual ~RequestBody() = default;
    /// Appends what comes next; false when there is no more. Can be awaited on any executor. Throws
    /// ApiError: 400 corrupt, 408 too slow, 413 too large; and boost::system::system_error when the
    /// client has gone.
    virtual boost::asio::awaitable<bool> read(std::string& out) = 0;
    /// All that is left. Throws also ApiError 429 when the memory for bodies is spent.
    virtual boost::asio::awaitable<std::string> read_all() = 0;
    /// False when the request has no body at all.
    virtual bool present() const = 0;
};

struct Request {
    std::string method;  ///< GET, POST, ...
    std::string path;    ///< decoded nowhere; without the query
    Parameters query;
    std::map<std::string, std::string> headers;             ///< names in lower case
    std::map<std::string, std::string, std::less<>> parts;  ///< of the path, by the route's names
    RequestBody* body = nullptr;                            ///< never null for a handler
    std::string remote;                                     ///< address of the client
    std::string_view route;                      ///< the pattern of its path, once it is found
    std::shared_ptr<const Principal> principal;  ///< null when authentication is off

    /// A part of the path; empty when the route has none of that name.
    const std::string& part(std::string_view name) const;
    std::string header(const std::string& lower_name) const;
};

struct Response {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
    bool close = false;  ///< the connection cannot be used further

    static Response json(std::string body, int status = 200) {
        Response response;
        response.status = status;
        response.body = std::move(body);
        return response;
    }
    static Response text(std::string body, int status = 200) {
        Response response = json(std::move(body), status);
        response.content_type = "text/plain; charset=UTF-8";
        return response;
    }
};

}  // namespace penstock::serve
