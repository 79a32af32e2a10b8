#include "processors/builtin.h"

#include "processors/deployment_directory.h"
#include "processors/user_agent/parser.h"

namespace penstock::processors {

void add_builtin(pipeline::Catalog& catalog, DeploymentDirectoryPtr deployments,
                 UserAgentParsersPtr user_agents) {
    if (!deployments)
        deployments = std::make_shared<DeploymentDirectory>(nullptr, std::set<std::string>());
    if (!user_agents) user_agents = std::make_shared<const UserAgentParsers>();
    catalog.add(append());
    catalog.add(bytes());
    catalog.add(chunk(deployments));
    catalog.add(convert());
    catalog.add(csv());
    catalog.add(date());
    catalog.add(date_index_name());
    catalog.add(dissect());
    catalog.add(dot_expander());
    catalog.add(drop());
    catalog.add(fail());
    catalog.add(foreach ());
    catalog.add(grok());
    catalog.add(gsub());
    catalog.add(html_strip());
    catalog.add(inference(deployments));
    catalog.add(join());
    catalog.add(json());
    catalog.add(kv());
    catalog.add(lowercase());
    catalog.add(pipeline_call());
    catalog.add(remove());
    catalog.add(rename());
    catalog.add(set());
    catalog.add(sort());
    catalog.add(split());
    catalog.add(trim());
    catalog.add(uppercase());
    catalog.add(urldecode());
    catalog.add(user_agent(std::move(user_agents)));
}

}  // namespace penstock::processors
