// Inference for coroutines.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "engine/inference/deployments.h"

namespace penstock::inference {

/// Runs a request and resumes on the coroutine's executor. The texts are tokenised there, so await
/// it on the CPU pool; the request's texts must live until then, which those of the awaiting
/// coroutine do. Answers at the deadline (408) at the latest. Cancelling the coroutine answers at
/// once, with every unanswered item failed as cancelled.
boost::asio::awaitable<InferResult> infer(std::shared_ptr<Deployment> deployment,
                                          InferRequest request);

/// The same by id, as Deployments::resolve finds it; every item is a 404 when there is none.
boost::asio::awaitable<InferResult> infer(const Deployments& deployments, std::string id,
                                          InferRequest request);

}  // namespace penstock::inference
