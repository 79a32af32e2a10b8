// The two kinds of processor.
#pragma once

#include <memory>

#include "engine/document/document.h"

namespace penstock::pipeline {

/// A step that runs on one document and never waits. One instance serves every worker at once, so
/// `run` is const and keeps no state; scratch memory comes from the document's arena. What it
/// changed through Document is undone by the executor when it fails, unless its specification says
/// `keeps_partial_changes`.
class Processor {
  public:
    virtual ~Processor() = default;
    virtual document::Outcome run(document::Document& document) const = 0;
};

/// A step that waits (inference, lookups): see async_processor.h, which needs Asio.
class AsyncProcessor;

}  // namespace penstock::pipeline
