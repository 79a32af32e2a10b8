// _bulk: many writes in one request, read and written piece by piece.
#include <algorithm>
#include <chrono>

#include "engine/document/json_writer.h"
#include "tools/serve/document_writer.h"
#include "tools/serve/json_body.h"
#include "tools/serve/write_problems.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using document::Value;

// One transaction in the index and one batch in the pipelines.
constexpr std::size_t kBatchItems = 1000;
constexpr std::size_t kBatchBytes = 4 * 1024 * 1024;
/// What a bulk holds at once, whatever its length: a batch as it came and as it is written.
constexpr std::size_t kWindow = 2 * kBatchBytes;

/// Lines of a body as they come. A line is at hand only whole.
class Lines {
  public:
    Lines(RequestBody& body, MemoryLease& lease) : body_(body), lease_(lease) {}

    /// False at the end. The line lives until the next call. Throws ApiError.
    awaitable<bool> next(std::string_view& line) {
        for (;;) {
            const std::size_t end = buffer_.find('\n', searched_);
            if (end != std::string::npos) {
                line = std::string_view(buffer_).substr(begin_, end - begin_);
                if (line.ends_with('\r')) line.remove_suffix(1);
                begin_ = searched_ = end + 1;
                ++number_;
                co_return true;
            }
            buffer_.erase(0, begin_);
            searched_ = buffer_.size();
            begin_ = 0;
            if (!lease_.grow_to(std::max(lease_.bytes(), kWindow + buffer_.size()))) throw spent();
            if (co_await body_.read(buffer_)) continue;
            if (buffer_.find_first_not_of(" \t\r\n") == std::string::npos) co_return false;
            throw illegal_argument("The bulk request must be terminated by a newline [\\n]");
        }
    }

    std::size_t number() const { return number_; }  ///< of the line given last, from 1

  private:
    static ApiError spent() {
        return ApiError(429, "circuit_breaking_exception",
                        "the memory for requests in flight is spent by a line of this bulk")
            .retry_after(1);
    }

    RequestBody& body_;
    MemoryLease& lease_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t searched_ = 0;
    std::size_t number_ = 0;
};

/// What the query string says for all items.
struct Defaults {
    std::string index;
    std::string routing;
    std::optional<std::string> pipeline;
    std::optional<SourceFilter> source_in_answer;
    bool require_alias = false;
    bool require_data_stream = false;
};

constexpr std::string_view kNames[] = {"index", "create", "delete", "update"};

WriteKind kind_of(std::string_view name, std::size_t line) {
    if (name == "index") return WriteKind::index;
    if (name == "create") return WriteKind::create;
    if (name == "delete") return WriteKind::remove;
    if (name == "update") return WriteKind::update;
    throw illegal_argument("Malformed action/metadata line [" + std::to_string(line) +
                           "], expected one of [create, delete, index, update] but found [" +
                           std::string(name) + "]");
}

std::int64_t number_of(const Value& value, std::string_view name, std::size_t line) {
    if (value.is_integer()) return value.as_integer();
    throw illegal_argument("Action/metadata line [" + std::to_string(line) + "]: [" +
                           std::string(name) + "] must be a whole number");
}

void take_parameter(WriteRequest& write, std::string_view name, const Value& value,
                    std::size_t line) {
    if (name == "_index") {
        write.index = content_of(value);
    } else if (name == "_id") {
        write.id = content_of(value);
        write.empty_id = write.id.empty();
    } else if (name == "routing") {
        write.routing = content_of(value);
    } else if (name == "version") {
        write.version = number_of(value, name, line);
    } else if (name == "version_type") {
        const auto type = version_type(content_of(value));
        if (!type) throw illegal_argument("No version type match [" + content_of(value) + "]");
        write.version_type = *type;
    } else if (name == "if_seq_no") {
        write.if_seq_no = number_of(value, name, line);
    } else if (name == "if_primary_term") {
        write.if_primary_term = number_of(value, name, line);
    } else if (name == "retry_on_conflict") {
        write.retry_on_conflict = static_cast<int>(number_of(value, name, line));
    } else if (name == "pipeline") {
        write.pipeline = content_of(value);
    } else if (name == "require_alias") {
        write.require_alias = value.is_boolean() && value.as_boolean();
    } else if (name == "require_data_stream") {
        write.require_data_stream = value.is_boolean() && value.as_boolean();
    } else if (name == "op_type" && write.kind == WriteKind::index) {
        if (content_of(value) == "create") write.kind = WriteKind::create;
    } else if (name == "_source") {
        write.source_in_answer = SourceFilter::from(value);
    } else if (name == "_type") {
        if (content_of(value) != "_doc")
            throw illegal_argument("mapping types are gone: [_type] can only be [_doc]");
    } else if (name == "dynamic_templates" && value.is_object()) {
        for (const document::Member& field : value.as_object())
            write.templates[std::string(field.key())] = content_of(field.value);
    } else if (name != "list_executed_pipelines") {
        throw illegal_argument("Action/metadata line [" + std::to_string(line) +
                               "] contains an unknown parameter [" + std::string(name) + "]");
    }
}

WriteRequest parse_action(std::string_view text, std::size_t line, const Defaults& defaults) {
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    Value action;
    const std::string place = "Malformed action/metadata line [" + std::to_string(line) + "]";
    if (!parser.parse(text, arena, action, error))
        throw illegal_argument(place + ": " + error.text());
    if (action.is_object() && action.as_object().size() == 0)
        throw illegal_argument(place + ", expected FIELD_NAME but found [END_OBJECT]");
    if (!action.is_object() || action.as_object().size() != 1) {
        throw illegal_argument(place +
                               ", expected an object with one of [create, delete, index, update]");
    }
    const auto& only = *action.as_object().begin();
    WriteRequest write;
    write.kind = kind_of(only.key(), line);
    write.index = defaults.index;
    write.routing = defaults.routing;
    write.pipeline = defaults.pipeline;
    write.require_alias = defaults.require_alias;
    write.require_data_stream = defaults.require_data_stream;
    write.source_in_answer = defaults.source_in_answer;
    if (!only.value.is_object())
        throw illegal_argument(place + ", expected START_OBJECT after [" + std::string(only.key()) +
                               "]");
    for (const auto& parameter : only.value.as_object()) {
        if (!parameter.value.is_null())
            take_parameter(write, parameter.key(), parameter.value, line);
    }
    return write;
}

std::vector<std::string> mistakes_in(const WriteRequest& write) {
    std::vector<std::string> mistakes;
    if (write.index.empty()) mistakes.emplace_back("index is missing");
    const bool needs_id = write.kind == WriteKind::remove || write.kind == WriteKind::update;
    if (needs_id && write.id.empty()) mistakes.emplace_back("id is missing");
    const std::vector<std::string> problems = problems_of(write);
    mistakes.insert(mistakes.end(), problems.begin(), problems.end());
    return mistakes;
}

/// The answer of one request, written as its items are done. The text is long: it is built in
/// place, and its beginning, which tells how things went, goes before it at the end.
class Answers {
  public:
    Answers(bool refresh, bool with_type)
        : text_(kHeadBytes, ' '), refresh_(refresh), with_type_(with_type) {}

    void add(WriteKind kind, const WriteAnswer& answer) {
        if (count_ > 0) text_.push_back(',');
        text_ += "{\"" + std::string(kNames[static_cast<std::size_t>(kind)]) + "\":{";
        if (answer.error) {
            errors_ = true;
            JsonWriter json(text_);
            json.member("_index", answer.index);
            if (with_type_) json.member("_type", "_doc");
            json.member("_id", answer.id);
            json.member("status", answer.status);
            json.member_raw("error", answer.error->object());
        } else {
            write_answer(answer, refresh_, with_type_, text_);
            text_ += ",\"status\":" + std::to_string(answer.status);
        }
        text_ += "}}";
        ++count_;
    }

    std::size_t count() const { return count_; }
    std::size_t memory() const { return text_.capacity(); }

    /// `ingest_millis`: negative when no pipeline ran.
    std::string finish(std::int64_t took_millis, std::int64_t ingest_millis) {
        std::string head = std::string("{\"errors\":") + (errors_ ? "true" : "false") +
                           ",\"took\":" + std::to_string(took_millis);
        if (ingest_millis >= 0) head += ",\"ingest_took\":" + std::to_string(ingest_millis);
        text_.replace(0, kHeadBytes, head + ",\"items\":[");
        text_ += "]}";
        return std::move(text_);
    }

  private:
    /// No beginning is longer, so that putting it in never moves the text to another place.
    static constexpr std::size_t kHeadBytes = 128;

    std::string text_;
    std::size_t count_ = 0;
    bool refresh_;
    bool with_type_;
    bool errors_ = false;
};

class Bulk {
  public:
    Bulk(Node& node, Request& request)
        : lease_(*node.budget),
          answers_lease_(*node.budget),
          lines_(*request.body, lease_),
          writer_(node, request),
          answers_(writer_.options().refresh,
                   node.compat.is_elasticsearch() && node.compat.major == 7) {
        defaults_.index = request.part("index");
        defaults_.routing = request.query.text("routing");
        defaults_.require_alias = request.query.flag("require_alias");
        defaults_.require_data_stream = request.query.flag("require_data_stream");
        const SourceFilter filter = SourceFilter::from(request.query);
        if (request.query.has("_source") || !filter.keeps_all())
            defaults_.source_in_answer = filter;
        if (request.query.has("pipeline")) defaults_.pipeline = request.query.text("pipeline");
        if (!lease_.grow_to(window_of(request))) {
            throw ApiError(429, "es_rejected_execution_exception",
                           "the memory for requests in flight is spent; nothing of this bulk was "
                           "done")
                .retry_after(1);
        }
    }

    awaitable<Response> run() {
        const auto begin = std::chrono::steady_clock::now();
        try {
            while (co_await read_batch()) {
                co_await write_batch();
                keep_answers();
            }
        } catch (const ApiError& error) {
            throw with_what_is_done(error);
        }
        co_await write_batch();
        if (answers_.count() == 0 && lines_.number() == 0)
            throw ApiError(400, "parse_exception", "request body is required");
        if (answers_.count() == 0) throw action_validation({"no requests added"});
        const auto took = std::chrono::steady_clock::now() - begin;
        co_return Response::json(
            answers_.finish(std::chrono::duration_cast<std::chrono::milliseconds>(took).count(),
                            writer_.ingest_millis()));
    }

  private:
    /// A short bulk takes no more than it is long.
    static std::size_t window_of(const Request& request) {
        const std::string length = request.header("content-length");
        const bool plain = request.header("content-encoding").empty();
        const std::size_t bytes = length.empty() || !plain ? kWindow : std::stoull(length) * 2;
        return std::min(kWindow, bytes);
    }

    /// Until a batch is full (true) or the body ends (false).
    awaitable<bool> read_batch() {
        std::size_t bytes = 0;
        std::string_view line;
        while (batch_.size() < kBatchItems && bytes < kBatchBytes) {
            if (!co_await lines_.next(line)) co_return false;
            if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
            WriteRequest write = parse_action(line, lines_.number(), defaults_);
            const std::vector<std::string> mistakes = mistakes_in(write);
            if (!mistakes.empty()) throw action_validation(mistakes);
            if (write.kind != WriteKind::remove) {
                if (!co_await lines_.next(line)) {
                    throw illegal_argument("the action in line [" +
                                           std::to_string(lines_.number()) +
                                           "] has no document behind it");
                }
                write.source = line;
            }
            bytes += write.source.size();
            batch_.push_back(std::move(write));
        }
        co_return true;
    }

    awaitable<void> write_batch() {
        if (batch_.empty()) co_return;
        std::vector<WriteKind> kinds;
        kinds.reserve(batch_.size());
        for (const WriteRequest& write : batch_)
            kinds.push_back(write.kind);
        const auto answers = co_await writer_.write(std::exchange(batch_, {}));
        for (std::size_t i = 0; i < answers.size(); ++i)
            answers_.add(kinds[i], answers[i]);
    }

    /// They are shown at the end, and pile up until then.
    void keep_answers() {
        if (!answers_lease_.grow_to(answers_.memory()))
            throw ApiError(429, "circuit_breaking_exception",
                           "the memory for requests in flight is spent by the answers of this bulk")
                .retry_after(1);
    }

    /// A mistake late in a long bulk comes when the batches before it are written.
    ApiError with_what_is_done(const ApiError& error) const {
        if (answers_.count() == 0) return error;
        return ApiError(error.status(), error.type(),
                        error.reason() + " (the " + std::to_string(answers_.count()) +
                            " items before it are done; sending them again changes nothing where "
                            "they have an _id)");
    }

    MemoryLease lease_;
    MemoryLease answers_lease_;
    Lines lines_;
    DocumentWriter writer_;
    Answers answers_;
    Defaults defaults_;
    std::vector<WriteRequest> batch_;
};

awaitable<Response> bulk(Node& node, Request& request) {
    Bulk bulk(node, request);
    co_return co_await bulk.run();
}

}  // namespace

void add_bulk_routes(Router& router, Node& node) {
    const std::vector<std::string> parameters{"pipeline",
                                              "require_alias",
                                              "refresh",
                                              "routing",
                                              "timeout",
                                              "_source",
                                              "_source_includes",
                                              "_source_excludes",
                                              "wait_for_active_shards",
                                              "list_executed_pipelines",
                                              "require_data_stream",
                                              "include_source_on_error"};
    const Handler handler = [&node](Request& request) { return bulk(node, request); };
    router.add("POST PUT", "/_bulk", handler, parameters);
    router.add("POST PUT", "/{index}/_bulk", handler, parameters);
}

}  // namespace penstock::serve
