// The processors that come with Penstock.
#pragma once

#include <memory>

#include "engine/pipeline/spec.h"

namespace penstock::processors {

class DeploymentDirectory;
using DeploymentDirectoryPtr = std::shared_ptr<const DeploymentDirectory>;
class UserAgentParsers;
using UserAgentParsersPtr = std::shared_ptr<const UserAgentParsers>;

/// Adds all of them. Each is in a file of its name. Those that use models look their deployments up
/// in `deployments`; without it none are declared. Files that `user_agent` names are in
/// `user_agents`; without it there are none but the one that comes with the program.
void add_builtin(pipeline::Catalog& catalog, DeploymentDirectoryPtr deployments = nullptr,
                 UserAgentParsersPtr user_agents = nullptr);

pipeline::ProcessorSpec append();
pipeline::ProcessorSpec bytes();
pipeline::ProcessorSpec chunk(DeploymentDirectoryPtr deployments);
pipeline::ProcessorSpec convert();
pipeline::ProcessorSpec csv();
pipeline::ProcessorSpec date();
pipeline::ProcessorSpec date_index_name();
pipeline::ProcessorSpec dissect();
pipeline::ProcessorSpec dot_expander();
pipeline::ProcessorSpec drop();
pipeline::ProcessorSpec fail();
pipeline::ProcessorSpec foreach ();
pipeline::ProcessorSpec grok();
pipeline::ProcessorSpec gsub();
pipeline::ProcessorSpec html_strip();
pipeline::ProcessorSpec inference(DeploymentDirectoryPtr deployments);
pipeline::ProcessorSpec join();
pipeline::ProcessorSpec json();
pipeline::ProcessorSpec kv();
pipeline::ProcessorSpec lowercase();
pipeline::ProcessorSpec pipeline_call();  // pipeline.cpp; `pipeline` is a namespace
pipeline::ProcessorSpec remove();
pipeline::ProcessorSpec rename();
pipeline::ProcessorSpec set();
pipeline::ProcessorSpec sort();
pipeline::ProcessorSpec split();
pipeline::ProcessorSpec trim();
pipeline::ProcessorSpec uppercase();
pipeline::ProcessorSpec urldecode();
pipeline::ProcessorSpec user_agent(UserAgentParsersPtr parsers);

}  // namespace penstock::processors
