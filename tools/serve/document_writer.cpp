#include "tools/serve/document_writer.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <deque>
#include <set>

#include "engine/document/document.h"
#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/pipeline/executor.h"
#include "engine/runtime/await.h"
#include "tools/serve/authorization.h"
#include "tools/serve/document_update.h"
#include "tools/serve/json_body.h"
#include "tools/serve/timestamp.h"

namespace penstock::serve {

using boost::asio::awaitable;
using document::Arena;
using document::Document;
using document::Meta;
using document::Object;
using document::Value;

namespace {

constexpr std::string_view kNone = "_none";
constexpr std::int64_t kPrimaryTerm = 1;
// What Elasticsearch answers for a document that its pipeline dropped.
constexpr std::int64_t kDroppedVersion = -3;
constexpr std::int64_t kUnassigned = -2;

std::string_view string_or_empty(Value value) {
    return value.is_string() ? value.as_string() : std::string_view();
}

std::int64_t integer_or(Value value, std::int64_t otherwise) {
    return value.is_integer() ? value.as_integer() : otherwise;
}

/// What is stored cannot be reached now; sending the same again may succeed.
ApiError unavailable(const Error& error) {
    return {503, "unavailable_shards_exception", error.what()};
}

ApiError from_failure(const document::Failure& failure) {
    ApiError error(document::http_status(failure.type),
                   std::string(document::type_name(failure.type)), failure.reason);
    if (!failure.processor_type.empty()) {
        error.with_text("processor_type", failure.processor_type);
        if (!failure.processor_tag.empty()) error.with_text("processor_tag", failure.processor_tag);
        error.with_text("pipeline", failure.pipeline);
    }
    return error;
}

}  // namespace

WriteOptions WriteOptions::from(const Parameters& query) {
    WriteOptions options;
    const std::string refresh = query.text("refresh", "false");
    options.refresh = refresh.empty() || refresh == "true";
    if (!options.refresh && refresh != "false" && refresh != "wait_for")
        throw illegal_argument("Unknown value for refresh: [" + refresh + "].");
    options.visible = refresh != "false";
    query.time("timeout", std::chrono::minutes(1));
    options.timeout = query.text("timeout", "1m");
    const std::string copies = query.text("wait_for_active_shards", "1");
    if (copies == "all") return options;
    const char* end = copies.data() + copies.size();
    const auto parsed = std::from_chars(copies.data(), end, options.active_shards);
    if (parsed.ec != std::errc() || parsed.ptr != end || options.active_shards < 0)
        throw illegal_argument("cannot parse ActiveShardCount[" + copies + "]");
    return options;
}

std::string parsing_failure(const Compat& compat) {
    const bool is_new = compat.is_elasticsearch() && compat.major >= 8;
    return is_new ? "document_parsing_exception" : "mapper_parsing_exception";
}

std::optional<io::VersionType> version_type(std::string_view name) {
    if (name == "internal") return io::VersionType::internal;
    if (name == "external" || name == "external_gt") return io::VersionType::external;
    if (name == "external_gte") return io::VersionType::external_gte;
    return std::nullopt;
}

struct DocumentWriter::Work {
    WriteRequest request;
    WriteAnswer answer;
    std::optional<DocumentUpdate> update;
    bool done = false;  ///< the answer is final
    bool through_pipeline = false;
    const WriteTarget* target = nullptr;

    void fail(ApiError error) {
        answer.status = error.status();
        answer.error = std::move(error);
        answer.result = "";
        done = true;
    }
    /// A pipeline has said which version there must be now.
    bool has_internal_version() const {
        return request.version >= 0 && request.version_type == io::VersionType::internal;
    }
    /// What a pipeline works on.
    std::string& document() { return update ? update->inserted() : request.source; }
    bool has_document() const {
        return request.kind != WriteKind::remove && (!update || !update->inserted().empty());
    }
};

awaitable<std::vector<WriteAnswer>> DocumentWriter::write(std::vector<WriteRequest> requests) {
    std::vector<Work> works(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        works[i].request = std::move(requests[i]);
        works[i].answer.index = works[i].request.index;
        works[i].answer.id = works[i].request.id;
        if (works[i].request.empty_id)
            works[i].fail(illegal_argument("if _id is specified it must not be empty"));
        if (works[i].request.kind != WriteKind::update) continue;
        try {
            works[i].update = DocumentUpdate::parse(works[i].request);
        } catch (const ApiError& error) {
            works[i].fail(error);
        }
    }
    std::vector<Work*> open;
    for (Work& work : works) {
        if (!work.done) open.push_back(&work);
    }
    co_await look_up(std::move(open));
    co_await run_pipelines(works);
    co_await runtime::call_on(node_.runtime->blocking(), [&] {
        store(works);
        return true;
    });
    std::vector<WriteAnswer> answers;
    answers.reserve(works.size());
    for (Work& work : works)
        answers.push_back(std::move(work.answer));
    co_return answers;
}

// ---- names to indices

namespace {

/// What a write takes, as Elasticsearch divides it: without an id nothing is overwritten.
unsigned privileges_of(const WriteRequest& request, const WriteAnswer& answer) {
    switch (request.kind) {
        case WriteKind::create:
            return IndexPrivilege::add_doc;
        case WriteKind::remove:
            return IndexPrivilege::delete_doc;
        case WriteKind::update:
            return IndexPrivilege::update_doc;
        default:
            return answer.id.empty() ? IndexPrivilege::add_doc : IndexPrivilege::put_doc;
    }
}

}  // namespace

const WriteTarget& DocumentWriter::target(const Work& work, bool create) {
    const WriteRequest& request = work.request;
    const unsigned privileges = privileges_of(request, work.answer);
    const std::string name = node_.indices->resolve_names(request.index);
    authorize_names(node_, request_, privileges, name);
    // Only of where a document ends up: a pipeline may send it to an alias.
    const WriteTarget& found = find_target(name, request.require_alias && create, create);
    authorize_index(node_, request_, privileges, found.index, name);
    return found;
}

const WriteTarget& DocumentWriter::find_target(const std::string& name, bool require_alias,
                                               bool create) {
    const auto known = targets_.find(name);
    if (known != targets_.end() && (known->second.exists || !create)) {
        if (require_alias && !known->second.through_alias)
            node_.indices->write_target(name, true);  // which says what is wrong
        return known->second;
    }
    WriteTarget found = node_.indices->write_target(name, require_alias);
    if (!found.exists && create) {
        authorize_auto_create(request_, found.index);
        node_.indices->create_for_write(found.index);
        found = node_.indices->write_target(name, require_alias);
    }
    return targets_.insert_or_assign(name, std::move(found)).first->second;
}

awaitable<void> DocumentWriter::look_up(std::vector<Work*> works) {
    co_await runtime::call_on(node_.runtime->blocking(), [&] {
        for (Work* work : works) {
            try {
                check(*work);
                // Not created yet: a pipeline may send the document elsewhere.
                work->target = &target(*work, false);
                work->answer.index = work->target->index;
            } catch (const ApiError& error) {
                work->fail(error);
            } catch (const Error& error) {
                work->fail(unavailable(error));
            }
        }
        return true;
    });
}

/// What the request wants of an index that none has here.
void DocumentWriter::check(const Work& work) const {
    const std::string& index = work.request.index;
    if (work.request.require_data_stream) {
        throw ApiError(404, "index_not_found_exception",
                       "no such index [" + index +
                           "] and [require_data_stream] request flag is [true] and [" + index +
                           "] is not a data stream")
            .with_text("index_uuid", "_na_")
            .with_text("index", index);
    }
    if (options_.active_shards <= 1) return;
    const std::string wanted = std::to_string(options_.active_shards);
    throw ApiError(503, "unavailable_shards_exception",
                   "[" + index + "][0] Not enough active copies to meet shard count of [" + wanted +
                       "] (have 1, needed " + wanted + "). Timeout: [" + options_.timeout +
                       "], request: [BulkShardRequest [[" + index +
                       "][0]] containing [1] requests]");
}

// ---- pipelines

awaitable<void> DocumentWriter::run_pipelines(std::vector<Work>& works) {
    const auto run = [&](auto pipeline_of) -> awaitable<void> {
        std::map<std::string, std::vector<Work*>> groups;
        for (Work& work : works) {
            if (work.done || !work.has_document()) continue;
            const std::string id = pipeline_of(work);
            if (!id.empty() && id != kNone) groups[id].push_back(&work);
        }
        for (auto& [id, group] : groups)
            co_await run_pipeline(id, std::move(group));
    };
    co_await run([](Work& work) {
        return work.request.pipeline ? *work.request.pipeline : work.target->default_pipeline;
    });
    // Of the index to which the document goes now.
    co_await run([](Work& work) { return work.target->final_pipeline; });
}

/// The documents of one batch that go through one pipeline together.
class DocumentWriter::PipelineBatch {
  public:
    PipelineBatch(const CompiledPipeline& compiled, std::string timestamp,
                  const std::string& failure_type)
        : failure_type_(failure_type), executor_(compiled.set, *compiled.pipeline) {
        executor_.set_timestamp(std::move(timestamp));
    }

    /// What is no document fails at once.
    void add(Work& work) {
        Value source;
        document::JsonError error;
        document::JsonOptions options;
        options.borrow_text = true;
        if (!parser_.parse(work.document(), arena_, source, error, options))
            return work.fail({400, failure_type_, "failed to parse: " + error.text()});
        if (!source.is_object()) {
            return work.fail({400, failure_type_, "failed to parse: a document must be an object"});
        }
        Document& made = documents_.emplace_back(arena_);
        made.original = work.document();
        made.set_source(source);
        set_metadata(made, work);
        made.commit();
        live_.push_back(&made);
        owners_.push_back(&work);
    }

    /// Those that the pipeline has sent to another index, which is to be looked up.
    awaitable<std::vector<Work*>> run() {
        std::vector<pipeline::ExecutionResult> results;
        co_await executor_.run(live_, results);
        std::vector<Work*> moved;
        for (std::size_t i = 0; i < live_.size(); ++i) {
            owners_[i]->through_pipeline = true;
            if (results[i].fate == pipeline::Fate::failed) {
                owners_[i]->fail(from_failure(results[i].failure));
            } else if (results[i].fate == pipeline::Fate::dropped) {
                drop(*owners_[i]);
            } else if (take_back(*owners_[i], *live_[i])) {
                moved.push_back(owners_[i]);
            }
        }
        co_return moved;
    }

  private:
    static void set_metadata(Document& document, const Work& work) {
        const WriteRequest& request = work.request;
        document.set_meta(Meta::index, Value::string(work.answer.index));
        if (!work.answer.id.empty()) document.set_meta(Meta::id, Value::string(work.answer.id));
        if (!request.routing.empty())
            document.set_meta(Meta::routing, Value::string(request.routing));
        if (request.version >= 0) document.set_meta(Meta::version, Value::integer(request.version));
        if (request.if_seq_no < 0) return;
        document.set_meta(Meta::if_seq_no, Value::integer(request.if_seq_no));
        document.set_meta(Meta::if_primary_term, Value::integer(request.if_primary_term));
    }

    static void drop(Work& work) {
        work.answer.status = 200;
        work.answer.result = "noop";
        work.answer.version = kDroppedVersion;
        work.answer.seq_no = kUnassigned;
        if (work.answer.id.empty()) work.answer.id = make_document_id();
        work.done = true;
    }

    /// True when it goes to another index now.
    static bool take_back(Work& work, const Document& document) {
        std::string rendered;
        document::write_json(document.source(), rendered);
        WriteRequest& request = work.request;
        work.answer.id = string_or_empty(document.meta(Meta::id));
        request.routing = string_or_empty(document.meta(Meta::routing));
        request.version = integer_or(document.meta(Meta::version), request.version);
        request.if_seq_no = integer_or(document.meta(Meta::if_seq_no), -1);
        request.if_primary_term = integer_or(document.meta(Meta::if_primary_term), -1);
        if (const auto type = version_type(string_or_empty(document.meta(Meta::version_type))))
            request.version_type = *type;
        if (string_or_empty(document.meta(Meta::op_type)) == "create" &&
            request.kind == WriteKind::index)
            request.kind = WriteKind::create;
        const std::string index(string_or_empty(document.meta(Meta::index)));
        work.document() = std::move(rendered);  // the document pointed into it until here
        if (index == work.answer.index) return false;
        work.answer.index = request.index = index;
        return true;
    }

    const std::string& failure_type_;  ///< of what is no document
    Arena arena_;
    document::JsonParser parser_;
    std::deque<Document> documents_;
    std::vector<Document*> live_;
    std::vector<Work*> owners_;
    pipeline::Executor executor_;
};

awaitable<void> DocumentWriter::run_pipeline(const std::string& id, std::vector<Work*> group) {
    CompiledPipeline compiled;
    std::optional<ApiError> problem;
    try {
        compiled = co_await runtime::call_on(node_.runtime->blocking(),
                                             [&] { return node_.pipelines->find(id); });
        if (compiled.pipeline == nullptr)
            problem = illegal_argument("pipeline with id [" + id + "] does not exist");
    } catch (const ApiError& error) {
        problem = error;
    }
    if (problem) {
        for (Work* work : group)
            work->fail(*problem);
        co_return;
    }
    const auto begin = std::chrono::steady_clock::now();
    const std::string failure_type = parsing_failure(node_.compat);
    PipelineBatch batch(compiled, timestamp(node_.now()), failure_type);
    for (Work* work : group)
        batch.add(*work);
    const std::vector<Work*> moved = co_await batch.run();
    const auto took = std::chrono::steady_clock::now() - begin;
    ingest_millis_ = std::max<std::int64_t>(ingest_millis_, 0) +
                     std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    if (!moved.empty()) co_await look_up(moved);
}

// ---- the index

void DocumentWriter::store(std::vector<Work>& works) {
    std::vector<Work*> pending;
    for (Work& work : works) {
        if (work.done) continue;
        try {
            const bool creates = work.request.kind != WriteKind::remove ||
                                 work.request.version_type != io::VersionType::internal;
            work.target = &target(work, creates);
            work.answer.index = work.target->index;
            if (!work.target->exists) throw index_not_found(work.target->index);
            if (work.answer.id.empty()) work.answer.id = make_document_id();
            if (!work.update && work.has_document())
                mapper_.map(work.answer.index, work.answer.id, work.request.source,
                            work.request.templates);
            if (work.update) {
                flush(pending);  // it reads what was written before it
                update(work);
            } else if (work.request.kind == WriteKind::remove && has_shards(work)) {
                if (writes_to(pending, work)) flush(pending);
                if (in_other_shard(work)) {
                    leave(work);
                } else {
                    pending.push_back(&work);
                }
            } else if (work.has_internal_version()) {
                flush(pending);
                pin_version(work);
                pending.push_back(&work);
            } else {
                pending.push_back(&work);
            }
        } catch (const ApiError& error) {
            work.fail(error);
        } catch (const Error& error) {
            work.fail(unavailable(error));
        }
    }
    flush(pending);
    if (options_.visible) refresh(works);
}

void DocumentWriter::refresh(const std::vector<Work>& works) const {
    std::set<std::string_view> indices;
    for (const Work& work : works) {
        if (work.answer.seq_no < 0 || !indices.insert(work.answer.index).second) continue;
        try {
            node_.store->refresh(work.answer.index);
        } catch (const Error& error) {  // the documents are written all the same
            spdlog::warn("index {} is not refreshed: {}", work.answer.index, error.what());
        }
    }
}

namespace {

io::WriteItem item_of(const WriteRequest& request, const WriteAnswer& answer) {
    io::WriteItem item;
    item.op = request.kind == WriteKind::create   ? io::WriteOp::create
              : request.kind == WriteKind::remove ? io::WriteOp::remove
                                                  : io::WriteOp::index;
    item.index = answer.index;
    item.id = answer.id;
    item.routing = request.routing;
    item.version = request.version;
    item.version_type = request.version_type;
    item.if_seq_no = request.if_seq_no;
    item.if_primary_term = request.if_primary_term;
    item.source = request.source;
    return item;
}

/// "[1:7] " before a reason.
std::string without_place(const std::string& reason) {
    const std::size_t end = reason.find("] ");
    const bool placed = reason.starts_with('[') && end != std::string::npos &&
                        reason.find_first_not_of("0123456789:", 1) == end;
    return placed ? reason.substr(end + 2) : reason;
}

/// The index speaks as Elasticsearch 8 does.
ApiError error_of(const io::ItemResult& result, const Compat& compat) {
    const std::string type = parsing_failure(compat);
    if (result.error_type != parsing_failure({}) || type == result.error_type)
        return {result.status, result.error_type, result.error_reason};
    return {result.status, type, without_place(result.error_reason)};
}

void take_result(WriteAnswer& answer, const io::ItemResult& result, const Compat& compat) {
    answer.status = result.status;
    answer.result = result.result;
    answer.version = result.version;
    answer.seq_no = result.seq_no;
    if (result.error_type.empty()) return;
    ApiError error = error_of(result, compat);
    if (result.status == 409) {
        error.with_text("index_uuid", "_na_")
            .with_text("shard", "0")
            .with_text("index", answer.index);
    }
    if (!result.cause_type.empty())
        error.with("caused_by", ApiError(400, result.cause_type, result.cause_reason).object());
    answer.error = std::move(error);
}

ApiError document_missing(const WriteAnswer& answer) {
    return ApiError(404, "document_missing_exception", "[" + answer.id + "]: document missing")
        .with_text("index_uuid", "_na_")
        .with_text("shard", "0")
        .with_text("index", answer.index);
}

void check_condition(const WriteRequest& request, const io::StoredDocument& current) {
    const bool holds =
        request.if_seq_no == current.seq_no && request.if_primary_term == kPrimaryTerm;
    if (request.if_seq_no < 0 || holds) return;
    throw ApiError(409, "version_conflict_engine_exception",
                   "[" + current.id + "]: version conflict, required seqNo [" +
                       std::to_string(request.if_seq_no) + "], primary term [" +
                       std::to_string(request.if_primary_term) + "]. current document has seqNo [" +
                       std::to_string(current.seq_no) + "] and primary term [1]");
}

}  // namespace

void DocumentWriter::flush(std::vector<Work*>& pending) {
    std::map<std::string, std::vector<Work*>> indices;
    for (Work* work : pending)
        indices[work->answer.index].push_back(work);
    for (const auto& [index, works] : indices)
        write_to(index, works);
    pending.clear();
}

namespace {

IndexCounts counts_of(const std::vector<io::ItemResult>& results) {
    IndexCounts counts;
    for (const io::ItemResult& one : results) {
        const std::string_view result = one.result;
        counts.indexed += result == "created" || result == "updated" ? 1 : 0;
        counts.deleted += result == "deleted" ? 1 : 0;
        counts.index_failed += one.ok() || result == "not_found" ? 0 : 1;
    }
    return counts;
}

}  // namespace

void DocumentWriter::write_to(const std::string& index, const std::vector<Work*>& works) {
    std::vector<io::WriteItem> items;
    items.reserve(works.size());
    for (const Work* work : works)
        items.push_back(item_of(work->request, work->answer));
    std::vector<io::ItemResult> results;
    try {
        const auto begin = std::chrono::steady_clock::now();
        node_.store->bulk(index, items, results);
        IndexCounts counts = counts_of(results);
        counts.writing = std::chrono::steady_clock::now() - begin;
        node_.indices->activity().add(index, counts);
        for (std::size_t i = 0; i < works.size(); ++i) {
            take_result(works[i]->answer, results[i], node_.compat);
            works[i]->done = true;
        }
    } catch (const Error& error) {
        // One transaction: none of them is in, unless its end could not be told.
        for (Work* work : works)
            work->fail(unavailable(error));
    }
}

/// One of them is about the same document.
bool DocumentWriter::writes_to(const std::vector<Work*>& pending, const Work& work) {
    return std::any_of(pending.begin(), pending.end(), [&](const Work* other) {
        return other->answer.id == work.answer.id && other->answer.index == work.answer.index;
    });
}

/// The index answers as if it had several.
bool DocumentWriter::has_shards(const Work& work) const {
    const auto metadata = node_.indices->metadata(work.answer.index);
    return metadata && metadata->shards > 1;
}

/// The document is there, but the request's routing leads to another shard than it is in.
bool DocumentWriter::in_other_shard(const Work& work) const {
    const auto current = node_.store->get(work.answer.index, work.answer.id);
    return current && !leads_to(work, *current);
}

bool DocumentWriter::leads_to(const Work& work, const io::StoredDocument& document) const {
    const auto metadata = node_.indices->metadata(work.answer.index);
    return !metadata || metadata->finds(document.id, document.routing, work.request.routing);
}

/// A delete that finds nothing.
void DocumentWriter::leave(Work& work) {
    work.answer.status = 404;
    work.answer.result = "not_found";
    work.answer.version = 1;
    work.answer.seq_no = kUnassigned;
    work.done = true;
}

void DocumentWriter::pin_version(Work& work) {
    const auto current = node_.store->get(work.answer.index, work.answer.id);
    const std::int64_t now = current ? current->version : -1;
    if (now != work.request.version) {
        throw ApiError(409, "version_conflict_engine_exception",
                       "[" + work.answer.id + "]: version conflict, current version [" +
                           std::to_string(now) + "] is different than the one provided [" +
                           std::to_string(work.request.version) + "]");
    }
    work.request.if_seq_no = current->seq_no;
    work.request.if_primary_term = kPrimaryTerm;
}

void DocumentWriter::update(Work& work) {
    const WriteRequest& request = work.request;
    WriteAnswer& answer = work.answer;
    for (int attempt = 0; !work.done; ++attempt) {
        auto current = node_.store->get(answer.index, answer.id, true);
        if (current && !leads_to(work, *current)) current.reset();
        if (!current && work.update->inserted().empty()) throw document_missing(answer);
        if (current) check_condition(request, *current);
        const auto source = current ? work.update->apply(current->source)
                                    : std::optional<std::string>(work.update->inserted());
        if (source) {
            mapper_.map(answer.index, answer.id, *source);
            io::WriteItem item = item_of(request, answer);
            item.source = *source;
            item.op = current ? io::WriteOp::index : io::WriteOp::create;
            if (current) {
                item.if_seq_no = current->seq_no;
                item.if_primary_term = kPrimaryTerm;
                if (item.routing.empty()) item.routing = current->routing;
            }
            std::vector<io::ItemResult> results;
            node_.store->bulk(answer.index, std::span(&item, 1), results);
            if (results[0].status == 409 && attempt < request.retry_on_conflict) continue;
            take_result(answer, results[0], node_.compat);
        } else {
            answer.status = 200;
            answer.result = "noop";
            answer.version = current->version;
            answer.seq_no = current->seq_no;
        }
        if (answer.ok()) answer.get = shown(work, source ? *source : current->source);
        work.done = true;
    }
}

std::string DocumentWriter::shown(const Work& work, const std::string& source) {
    const auto& kept = work.update->source ? work.update->source : work.request.source_in_answer;
    if (!kept || !kept->fetch) return {};
    return "{\"_seq_no\":" + std::to_string(work.answer.seq_no) +
           ",\"_primary_term\":1,\"found\":true,\"_source\":" + kept->apply(source) + "}";
}

// ---- answers

void write_answer(const WriteAnswer& answer, bool forced_refresh, bool with_type,
                  std::string& out) {
    document::JsonWriter json(out);
    const bool written = answer.seq_no >= 0;
    json.member("_index", answer.index);
    if (with_type) json.member("_type", "_doc");
    json.member("_id", answer.id);
    json.member("_version", answer.version);
    json.member("result", answer.result);
    if (forced_refresh && written && std::string_view(answer.result) != "noop")
        json.member("forced_refresh", true);
    const bool noop = std::string_view(answer.result) == "noop";
    json.member_raw("_shards", noop ? R"({"total":0,"successful":0,"failed":0})"
                                    : R"({"total":1,"successful":1,"failed":0})");
    json.member("_seq_no", answer.seq_no);
    json.member("_primary_term", written ? kPrimaryTerm : 0);
    if (!answer.get.empty()) json.member_raw("get", answer.get);
}

std::string make_document_id() {
    static constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<unsigned char, 15> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<::ssize_t>(bytes.size()))
        throw Error("the system gives no random numbers");
    const std::int64_t now = milliseconds(std::chrono::system_clock::now());
    for (int i = 0; i < 6; ++i)
        bytes[static_cast<std::size_t>(i)] = static_cast<unsigned char>(now >> (40 - 8 * i));
    std::string id;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const unsigned group = static_cast<unsigned>(bytes[i]) << 16U |
                               static_cast<unsigned>(bytes[i + 1]) << 8U | bytes[i + 2];
        for (unsigned shift : {18U, 12U, 6U, 0U})
            id.push_back(alphabet[group >> shift & 63U]);
    }
    return id;
}

}  // namespace penstock::serve
