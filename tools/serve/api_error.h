// What a request is refused with, in Elasticsearch's shape.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace penstock::serve {

/// {"error": {"root_cause": [...], "type", "reason"}, "status"}. Thrown by whoever handles a
/// request; the server turns it into the response.
class ApiError : public std::exception {
  public:
    ApiError(int status, std::string type, std::string reason)
        : status_(status), type_(std::move(type)), reason_(std::move(reason)) {}

    int status() const { return status_; }
    const std::string& type() const { return type_; }
    const std::string& reason() const { return reason_; }
    const char* what() const noexcept override { return reason_.c_str(); }

    /// A further member of the error object, `json` as it stands: index, processor_type, ...
    ApiError& with(std::string name, std::string json) & {
        members_.emplace_back(std::move(name), std::move(json));
        return *this;
    }
    ApiError&& with(std::string name, std::string json) && {
        members_.emplace_back(std::move(name), std::move(json));
        return std::move(*this);
    }
    /// The same for a string.
    ApiError& with_text(std::string name, const std::string& text) &;
    ApiError&& with_text(std::string name, const std::string& text) &&;
    /// Seconds after which asking again makes sense; sent as Retry-After.
    ApiError&& retry_after(int seconds) && {
        retry_after_ = seconds;
        return std::move(*this);
    }
    int retry_after() const { return retry_after_; }
    /// The body's `error` is the reason alone, as where no handler was found.
    ApiError&& plain() && {
        plain_ = true;
        return std::move(*this);
    }
    /// A further response header: Allow, WWW-Authenticate.
    ApiError&& header(std::string name, std::string value) && {
        headers_.emplace_back(std::move(name), std::move(value));
        return std::move(*this);
    }
    const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_; }

    /// The error object itself: {"type", "reason", ...}, for item errors; with `root_cause` for
    /// whole responses.
    std::string object(bool root_cause = false) const;
    /// The whole body.
    std::string body() const;

  private:
    int status_;
    std::string type_;
    std::string reason_;
    std::vector<std::pair<std::string, std::string>> members_;
    std::vector<std::pair<std::string, std::string>> headers_;
    int retry_after_ = 0;
    bool plain_ = false;
};

ApiError illegal_argument(std::string reason);                         ///< 400
ApiError action_validation(const std::vector<std::string>& problems);  ///< 400, numbered
ApiError parsing_error(std::string reason);                            ///< 400
ApiError resource_not_found(std::string reason);                       ///< 404
ApiError index_not_found(const std::string& index);                    ///< 404
ApiError index_closed(const std::string& index);                       ///< 400

}  // namespace penstock::serve
