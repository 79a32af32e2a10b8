// Deployments' numbers on disk, so that `penstock deployment stats` sees those of a running job.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "tools/penstock/workspace.h"

namespace penstock::tools {

/// Writes the statistics of this process's deployments to the data directory, one file a
/// deployment, at most once a second. The last process that ran a deployment has the file. Failing
/// to write is not an error of the job.
class DeploymentStatsFile {
  public:
    explicit DeploymentStatsFile(Workspace& workspace) : workspace_(workspace) {}
    void update();
    void write();

    /// Where a deployment's numbers are.
    static std::filesystem::path path(const Configuration& configuration,
                                      const std::string& deployment);

  private:
    Workspace& workspace_;
    std::chrono::steady_clock::time_point next_;
};

/// One JSON object under the reference's names.
std::string stats_json(const inference::DeploymentStats& stats);

}  // namespace penstock::tools
