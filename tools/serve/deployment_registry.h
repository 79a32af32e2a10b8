// Which deployments a server is to run, kept over restarts.
#pragma once

#include <filesystem>
#include <string>

#include "engine/inference/deployments.h"
#include "tools/serve/state_file.h"

namespace penstock::serve {

/// The deployments that clients have started and not stopped, in the data directory. What the
/// configuration declares is not among them: the configuration says it again. Thread-safe; blocks.
class DeploymentRegistry {
  public:
    explicit DeploymentRegistry(const std::filesystem::path& data);

    void remember(const inference::DeploymentConfig& config) const;
    /// Does nothing when it was not remembered.
    void forget(const std::string& deployment_id) const;
    /// Starts all that are remembered, without waiting for their models. What cannot be started
    /// (its model is gone, too few processors are free) is logged, and stays remembered.
    void start_all(inference::Deployments& deployments) const;

  private:
    StateFile file_;
};

}  // namespace penstock::serve
