// Processors that wait.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>

#include "engine/document/document.h"
#include "engine/pipeline/processor.h"

namespace penstock::pipeline {

/// One document of a batch, and what became of it in this step.
struct AsyncItem {
    document::Document* document;
    document::Outcome outcome;
};

/// A step that takes the documents of a whole batch at once, so that it can gather its requests.
/// Runs on the worker's executor; it must not block there. It sets each item's outcome (ok unless
/// set) and throws only for bugs and cancellation (boost::system::system_error with
/// operation_aborted). Changes to a document whose outcome is a failure are undone.
class AsyncProcessor {
  public:
    virtual ~AsyncProcessor() = default;
    virtual boost::asio::awaitable<void> run(std::span<AsyncItem> items) const = 0;
};

}  // namespace penstock::pipeline
