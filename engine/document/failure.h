// What became of a document: values, not exceptions.
#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::document {

/// The kinds of failure, named and spelt out as Elasticsearch's error types so that clients
/// recognise them.
enum class FailureType : std::uint8_t {
    illegal_argument,    ///< illegal_argument_exception: wrong value, missing field
    illegal_state,       ///< illegal_state_exception
    fail_processor,      ///< fail_processor_exception: the `fail` processor's message
    parse,               ///< parse_exception, e.g. the json processor's input
    dissect,             ///< dissect_exception (500, as every failure of no kind of its own)
    script,              ///< script_exception
    resource_not_found,  ///< resource_not_found_exception (404): model or deployment
    conflict,            ///< version_conflict_engine_exception (409)
    rejected,            ///< status_exception (429): queue full
    timeout,             ///< timeout_exception (408)
    unavailable,         ///< status_exception (503)
    internal,            ///< exception (500)
};

std::string_view type_name(FailureType type);  ///< "illegal_argument_exception"
int http_status(FailureType type);             ///< 400 for most

struct Failure {
    FailureType type = FailureType::illegal_argument;
    std::string reason;
    // Where it happened; the executor fills these in, for the innermost step that failed.
    std::string processor_type;
    std::string processor_tag;
    std::string pipeline;
};

[[noreturn]] inline void throw_exception_from_error(const Failure& failure,
                                                    const boost::source_location&) {
    throw std::logic_error("value of a failed result read: " + failure.reason);
}

/// A value or a failure.
template <class T>
using Result = boost::system::result<T, Failure>;

inline Failure failure(std::string reason, FailureType type = FailureType::illegal_argument) {
    return {type, std::move(reason), {}, {}, {}};
}

/// ok, drop (leave the document out, not an error) or a failure. The size of a pointer; ok and drop
/// allocate nothing.
class [[nodiscard]] Outcome {
  public:
    Outcome() = default;
    Outcome(Failure why)
        : failure_(std::make_unique<Failure>(std::move(why))) {}  // NOLINT: implicit on purpose
    static Outcome ok() { return {}; }
    static Outcome drop() {
        Outcome outcome;
        outcome.dropped_ = true;
        return outcome;
    }

    bool is_ok() const { return !failure_ && !dropped_; }
    bool is_drop() const { return dropped_; }
    bool is_failure() const { return failure_ != nullptr; }
    const Failure& failure() const { return *failure_; }
    Failure& failure() { return *failure_; }

  private:
    std::unique_ptr<Failure> failure_;
    bool dropped_ = false;
};

}  // namespace penstock::document
