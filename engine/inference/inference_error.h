// Load-time errors of models and deployments, with the status that an API gives.
#pragma once

#include <string>
#include <utility>

#include "engine/runtime/error.h"

namespace penstock::inference {

/// A model or deployment cannot be found, started, changed or stopped as asked. `status` and `type`
/// are those of Elasticsearch's API: 400 action_request_validation_exception, 404
/// resource_not_found_exception, 408, 409 and 429 status_exception.
class InferenceError : public Error {
  public:
    InferenceError(int status, std::string type, const std::string& message)
        : Error(message), status_(status), type_(std::move(type)) {}

    int status() const { return status_; }
    const std::string& type() const { return type_; }

  private:
    int status_;
    std::string type_;
};

}  // namespace penstock::inference
