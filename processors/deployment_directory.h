// What processors know of deployments.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/inference/deployments.h"
#include "engine/pipeline/spec.h"

namespace penstock::processors {

/// The deployments that the configuration declares, and the running ones. Compiling a pipeline
/// checks names against the first and notes which are used, so that whoever runs the pipeline
/// starts just those; running looks up the second. Thread-safe.
class DeploymentDirectory {
  public:
    /// `deployments` may be null where nothing is run (lint, inspect).
    /// `open`: deployments come and go while pipelines run, so that any name may be used.
    DeploymentDirectory(std::shared_ptr<inference::Deployments> deployments,
                        std::set<std::string> declared, bool open = false)
        : deployments_(std::move(deployments)), declared_(std::move(declared)), open_(open) {}

    const std::set<std::string>& declared() const { return declared_; }
    bool open() const { return open_; }
    void note_use(const std::string& id) const {
        std::lock_guard lock(mutex_);
        used_.insert(id);
    }
    std::set<std::string> used() const {
        std::lock_guard lock(mutex_);
        return used_;
    }
    /// The running deployment of that id; null when there is none.
    std::shared_ptr<inference::Deployment> find(std::string_view id) const {
        return deployments_ ? deployments_->resolve(id) : nullptr;
    }
    /// Why `find` gave none, for people.
    std::string why_missing(std::string_view id) const {
        if (deployments_) return deployments_->unknown(id).reason;
        return "no deployment [" + std::string(id) + "] is running";
    }

  private:
    std::shared_ptr<inference::Deployments> deployments_;
    std::set<std::string> declared_;
    bool open_;
    mutable std::mutex mutex_;
    mutable std::set<std::string> used_;
};

using DeploymentDirectoryPtr = std::shared_ptr<const DeploymentDirectory>;

/// Notes the use of a deployment, and reports one that the configuration does not declare at
/// `option`.
void check_deployment(const pipeline::Config& config, const DeploymentDirectory& directory,
                      std::string_view option, const std::string& id);

}  // namespace penstock::processors
