#include "tools/serve/write_problems.h"

#include <algorithm>
#include <cstdint>

#include "tools/serve/document_writer.h"

namespace penstock::serve {

namespace {

std::string external_name(io::VersionType type) {
    return type == io::VersionType::external_gte ? "EXTERNAL_GTE" : "EXTERNAL";
}

}  // namespace

std::vector<std::string> problems_of(const WriteRequest& write) {
    const bool external = write.version_type != io::VersionType::internal;
    if (write.kind == WriteKind::create && external)
        return {"create operations only support internal versioning. use index instead"};
    std::vector<std::string> problems;
    if (external && write.version < 0)
        problems.push_back("illegal version value [" + std::to_string(write.version) +
                           "] for version type [" + external_name(write.version_type) + "]");
    if (external && write.id.empty())
        problems.emplace_back("an id must be provided if version type or value are set");
    const bool versioned_update = write.kind == WriteKind::update && external;
    if (versioned_update || (!external && write.version >= 0))
        problems.emplace_back(kNoInternalVersioning);
    const bool has_seq_no = write.if_seq_no >= 0;
    if (has_seq_no != (write.if_primary_term >= 1))
        problems.push_back("ifSeqNo is " + std::string(has_seq_no ? "set" : "unassigned") +
                           ", but primary term is [" +
                           std::to_string(std::max<std::int64_t>(write.if_primary_term, 0)) + "]");
    return problems;
}

}  // namespace penstock::serve
