// Another cluster on the command line.
#pragma once

#include <string>

#include "engine/io/remote_source.h"

namespace penstock::tools {

/// Whether a source is a URL.
bool is_remote(const std::string& source);

/// Of "https://host:9200/INDEX[,INDEX2]". Credentials come from the environment,
/// PENSTOCK_REMOTE_USER and PENSTOCK_REMOTE_PASSWORD, or from `api_key_file` (empty: none), because
/// all users of a machine see the command lines. Throws penstock::Error.
io::RemoteOptions remote_options(const std::string& source, const std::string& api_key_file);

}  // namespace penstock::tools
