#include "processors/deployment_directory.h"

namespace penstock::processors {

void check_deployment(const pipeline::Config& config, const DeploymentDirectory& directory,
                      std::string_view option, const std::string& id) {
    directory.note_use(id);
    if (directory.open() || directory.declared().contains(id)) return;
    std::vector<std::string_view> names(directory.declared().begin(), directory.declared().end());
    std::string list;
    for (std::string_view name : names)
        list += (list.empty() ? "" : ", ") + std::string(name);
    std::string_view near = pipeline::nearest(id, names);
    config.error(option,
                 "no deployment [" + id + "] is configured" +
                     (list.empty() ? "" : " (there are: " + list + ")"),
                 near.empty() ? "add it under [deployments] in penstock.yml"
                              : "did you mean [" + std::string(near) + "]?");
}

}  // namespace penstock::processors
