// Writes, as clients ask for them: through pipelines into the embedded index.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/index.h"
#include "engine/io/sink.h"
#include "tools/serve/api_error.h"
#include "tools/serve/field_mapper.h"
#include "tools/serve/node.h"
#include "tools/serve/source_filter.h"

namespace penstock::serve {

enum class WriteKind { index, create, remove, update };

struct WriteRequest {
    WriteKind kind = WriteKind::index;
    std::string index;      ///< as the client named it: an index or an alias
    std::string id;         ///< empty: one is made
    bool empty_id = false;  ///< there was one, and it was empty: that is refused
    std::string routing;
    std::int64_t version = -1;
    io::VersionType version_type = io::VersionType::internal;
    std::int64_t if_seq_no = -1;
    std::int64_t if_primary_term = -1;
    std::optional<std::string> pipeline;  ///< "_none" is none, absent the index's default
    bool require_alias = false;
    bool require_data_stream = false;  ///< always refused: there are none
    std::string source;         ///< the document; for an update its body {"doc", "upsert", ...}
    TemplateNames templates;    ///< of a bulk's action, for fields that are not mapped yet
    int retry_on_conflict = 0;  ///< of an update
    std::optional<SourceFilter> source_in_answer;  ///< of an update
};

/// What the query string says of all writes of a request.
struct WriteOptions {
    bool refresh = false;   ///< answers say that they forced it
    bool visible = false;   ///< searches see it when the request is answered
    int active_shards = 1;  ///< how many copies must be there; there is one of everything
    std::string timeout;    ///< as it was given

    /// Throws ApiError 400.
    static WriteOptions from(const Parameters& query);
};

/// The type of the error of a document that cannot be read, as that product calls it.
std::string parsing_failure(const Compat& compat);

/// "internal", "external", "external_gt", "external_gte"; nothing for another name.
std::optional<io::VersionType> version_type(std::string_view name);

/// What became of one write.
struct WriteAnswer {
    std::string index;
    std::string id;
    int status = 0;
    const char* result = "";  ///< created, updated, deleted, not_found, noop
    std::int64_t version = -1;
    std::int64_t seq_no = -1;
    std::optional<ApiError> error;
    std::string get;  ///< the `get` object of an update that asked for the source

    bool ok() const { return !error; }
};

/// Writes one batch after another; keeps what it has learned about names of indices. Not
/// thread-safe; awaited on the CPU pool. When `write` returns, what it answers as written is
/// durable.
class DocumentWriter {
  public:
    /// For `request`, whose sender must be allowed to write where its documents go. Both outlive
    /// the writer. Throws ApiError 400 for what its query string says.
    DocumentWriter(Node& node, const Request& request)
        : node_(node),
          request_(request),
          options_(WriteOptions::from(request.query)),
          mapper_(*node.indices) {}

    /// One answer for each, in order; requests are done in order. Does not throw for what is wrong
    /// with one of them.
    boost::asio::awaitable<std::vector<WriteAnswer>> write(std::vector<WriteRequest> requests);

    /// Time that documents of this writer have spent in pipelines; negative when none went through
    /// one.
    std::int64_t ingest_millis() const { return ingest_millis_; }
    const WriteOptions& options() const { return options_; }

  private:
    struct Work;
    class PipelineBatch;

    boost::asio::awaitable<void> look_up(std::vector<Work*> works);
    boost::asio::awaitable<void> run_pipelines(std::vector<Work>& works);
    boost::asio::awaitable<void> run_pipeline(const std::string& id, std::vector<Work*> group);
    void store(std::vector<Work>& works);
    void check(const Work& work) const;
    void flush(std::vector<Work*>& pending);
    void write_to(const std::string& index, const std::vector<Work*>& works);
    void refresh(const std::vector<Work>& works) const;
    static bool writes_to(const std::vector<Work*>& pending, const Work& work);
    bool has_shards(const Work& work) const;
    bool in_other_shard(const Work& work) const;
    bool leads_to(const Work& work, const io::StoredDocument& document) const;
    static void leave(Work& work);
    void pin_version(Work& work);
    void update(Work& work);
    static std::string shown(const Work& work, const std::string& source);
    const WriteTarget& target(const Work& work, bool create);
    const WriteTarget& find_target(const std::string& name, bool require_alias, bool create);

    Node& node_;
    const Request& request_;
    WriteOptions options_;
    std::map<std::string, WriteTarget> targets_;
    FieldMapper mapper_;
    std::int64_t ingest_millis_ = -1;
};

/// The members of an answer that all write responses share: _index, _id, _version, result, _shards,
/// _seq_no, _primary_term.
void write_answer(const WriteAnswer& answer, bool forced_refresh, bool with_type, std::string& out);
/// A random id of 20 URL-safe characters that sort roughly by time.
std::string make_document_id();

}  // namespace penstock::serve
