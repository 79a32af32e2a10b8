// The pipelines that clients have put: kept on disk, compiled when they are used.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pipeline/pipeline.h"

namespace penstock::serve {

/// One stored pipeline.
struct StoredPipeline {
    std::string id;
    std::string config;  ///< the body as JSON, compact, in its own order
    std::optional<std::int64_t> version;
    std::string created;   ///< ISO 8601
    std::string modified;  ///< likewise
};

/// A pipeline ready to run, with all that it calls. Holds its set: keep it as long as documents
/// that went through it.
struct CompiledPipeline {
    std::shared_ptr<const pipeline::PipelineSet> set;
    const pipeline::Pipeline* pipeline = nullptr;
};

/// Thread-safe; put, remove and the first use of a pipeline block (files, compilation). A pipeline
/// is compiled with those that it reaches, and again when one of them changes; documents under way
/// go on in the old one. Stored one file each below `directory`, replaced atomically and synced.
class PipelineRegistry {
  public:
    /// Reads what is stored, and definitions that files bring (`shipped`), which a put replaces in
    /// the store but not in their file, and which stay away after a remove until their file says
    /// something else or they are put again. Throws penstock::Error for a directory that cannot be
    /// used.
    PipelineRegistry(std::filesystem::path directory, const pipeline::Catalog& catalog,
                     std::vector<pipeline::PipelineDefinition> shipped = {});
    ~PipelineRegistry();

    /// Checks the definition (JSON or YAML) and stores it. Throws ApiError 400 with what is wrong
    /// with it; `if_version` that does not fit is 400 too, as in Elasticsearch.
    void put(const std::string& id, std::string_view body,
             std::optional<std::int64_t> if_version = std::nullopt);
    /// False when there is none.
    bool remove(const std::string& id);

    std::optional<StoredPipeline> get(std::string_view id) const;
    /// By wildcard patterns, by id; `*` is all.
    std::vector<StoredPipeline> match(const std::vector<std::string>& patterns) const;

    /// Null members when there is none of that id. Throws ApiError 400 when it cannot be compiled
    /// any more.
    CompiledPipeline find(const std::string& id);
    /// One that is not stored (simulate's), with the stored ones that it calls. Throws ApiError
    /// 400.
    CompiledPipeline compile(std::string_view body, const std::string& id);

    /// Of all pipelines, since the server started, by id; those never used with zeros.
    std::vector<pipeline::PipelineStatistics> statistics() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::serve
