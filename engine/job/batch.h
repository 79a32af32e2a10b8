// One batch on its way: records in, documents through the pipeline, items for the sink.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/document/document.h"
#include "engine/document/json.h"
#include "engine/io/dead_letter.h"
#include "engine/io/sink.h"
#include "engine/io/source.h"
#include "engine/pipeline/executor.h"

namespace penstock::job {

/// What becomes of the routing that a document comes with.
enum class Routing : std::uint8_t { keep, discard, fixed };

/// How records become documents and documents become items.
struct BatchSettings {
    std::string index;  ///< `_index` of documents that bring none
    std::string
        id_field;  ///< path of the field that gives `_id`; empty: the document's `_id` member
    bool make_ids =
        true;  ///< a document without an id gets a stable one from its place in the source
    bool honour_index = false;  ///< documents may name their own `_index`; else it is `index`
    io::WriteOp op = io::WriteOp::index;
    io::VersionType version_type = io::VersionType::internal;
    Routing routing = Routing::keep;
    std::string routing_value;  ///< for `fixed`
    /// Members such as `_id` become metadata, as dumps have them. Off: a source is taken as it is.
    bool metadata_in_source = true;
    /// Documents go back to the index that they were read from, and only where they have not
    /// changed since: Record::offset is then the sequence number, as an index's scan gives it. One
    /// whose `_index` or `_id` a pipeline changes fails.
    bool in_place = false;
    /// What is left of a source's text, before the pipeline; empty: all. Called by several threads.
    std::function<std::string(std::string)> filter;
};

/// A document that goes to the dead letter, or is reported, instead of to the sink.
struct FailedDocument {
    std::uint32_t record;
    document::Failure failure;
    bool parsed;  ///< its original is a JSON object
};

/// Reused from batch to batch: records, arena, documents and output keep their memory. Used by one
/// thread at a time.
class Batch {
  public:
    io::RecordBatch records;

    /// Records to documents. A record that is not a document becomes a failure.
    void parse(const BatchSettings& settings);
    /// The documents to run, in order.
    std::vector<document::Document*>& documents() { return live_; }
    std::vector<pipeline::ExecutionResult>& results() { return results_; }
    /// After the pipeline: what is done becomes items (their texts live here), what failed joins
    /// `failed`.
    void render(const BatchSettings& settings);

    const std::vector<io::WriteItem>& items() const { return items_; }
    /// The record behind item i.
    std::uint32_t record_of(std::size_t item) const { return item_records_[item]; }
    std::vector<FailedDocument>& failed() { return failed_; }
    std::uint64_t dropped() const { return dropped_; }
    /// A failure in the dead letter's form. Views live until the next parse.
    io::DeadDocument dead_letter(const FailedDocument& failed);

    void clear();

  private:
    void parse_record(std::uint32_t record, const BatchSettings& settings,
                      const document::FieldPath* id_path);
    void take_metadata(document::Document& document, const document::Object& source);
    void set_metadata(document::Document& document, const io::Record& record,
                      const BatchSettings& settings);
    const char* moved_by(const document::Document& done) const;
    void fail(std::uint32_t record, document::Failure failure, bool parsed);
    std::string_view keep(std::string text);

    document::Arena arena_;
    document::JsonParser parser_;
    std::deque<document::Document> documents_;
    std::vector<document::Document*> live_;
    std::vector<pipeline::ExecutionResult> results_;
    std::vector<io::WriteItem> items_;
    std::vector<std::uint32_t> item_records_;
    std::vector<FailedDocument> failed_;
    std::vector<std::string_view> ids_;  // by record, as they were before the pipeline
    std::string output_;
    std::deque<std::string> kept_;
    std::uint64_t dropped_ = 0;
};

}  // namespace penstock::job
