// Single documents: _doc, _create, _source, _update, _mget.
#include <algorithm>
#include <array>

#include "engine/document/json_writer.h"
#include "engine/io/index_snapshot.h"
#include "engine/io/values.h"
#include "engine/runtime/await.h"
#include "tools/serve/authorization.h"
#include "tools/serve/document_writer.h"
#include "tools/serve/json_body.h"
#include "tools/serve/json_tree.h"
#include "tools/serve/write_problems.h"

namespace penstock::serve {

namespace {

using boost::asio::awaitable;
using document::JsonWriter;
using document::Value;

// ---- what the query string says about a write

io::VersionType version_type_of(const std::string& name) {
    const auto type = version_type(name.empty() ? "internal" : name);
    if (!type) throw illegal_argument("No version type match [" + name + "]");
    return *type;
}

WriteRequest write_request(const Request& request, WriteKind kind) {
    WriteRequest write;
    write.kind = kind;
    write.index = request.part("index");
    write.id = request.part("id");
    write.routing = request.query.text("routing");
    write.version = request.query.integer("version", -1);
    write.version_type = version_type_of(request.query.text("version_type"));
    write.if_seq_no = request.query.integer("if_seq_no", -1);
    write.if_primary_term = request.query.integer("if_primary_term", -1);
    write.require_alias = request.query.flag("require_alias");
    write.require_data_stream = request.query.flag("require_data_stream");
    if (request.query.has("pipeline")) write.pipeline = request.query.text("pipeline");
    return write;
}

/// Elasticsearch's checks of one write, in its words.
void check(const WriteRequest& write) {
    std::vector<std::string> problems = problems_of(write);
    if (write.id.size() > 512) {
        problems.emplace_back("id is too long, must be no longer than 512 bytes but was: " +
                              std::to_string(write.id.size()));
    }
    if (!problems.empty()) throw action_validation(problems);
}

/// Where the written document can be asked for.
std::string location(const WriteAnswer& answer, const std::string& routing) {
    std::string path = "/" + encode_percent(answer.index) + "/_doc/" + encode_percent(answer.id);
    if (!routing.empty()) path += "?routing=" + encode_percent(routing);
    return path;
}

awaitable<Response> write_one(Node& node, const Request& request, WriteRequest write) {
    check(write);
    DocumentWriter writer(node, request);
    std::vector<WriteRequest> writes;
    writes.push_back(std::move(write));
    const auto answers = co_await writer.write(std::move(writes));
    const WriteAnswer& answer = answers.front();
    if (answer.error) throw ApiError(*answer.error);
    std::string out = "{";
    write_answer(answer, writer.options().refresh,
                 node.compat.is_elasticsearch() && node.compat.major == 7, out);
    Response response = Response::json(out + "}", answer.status);
    if (answer.status == 201)
        response.headers.emplace_back("Location", location(answer, request.query.text("routing")));
    co_return response;
}

awaitable<std::string> document_text(const Request& request) {
    JsonBody body;
    co_await body.read(request);
    needed_body(body.empty() ? "" : "{");
    co_return json_text(Value::object(&body.root()));
}

/// A document's own text: what is wrong with it is said as of one in a bulk.
awaitable<std::string> new_document(const Node& node, const Request& request) {
    try {
        co_return co_await document_text(request);
    } catch (const ApiError& error) {
        if (error.type() != "x_content_parse_exception" && error.type() != "parsing_exception")
            throw;
        throw ApiError(400, parsing_failure(node.compat), "failed to parse: " + error.reason());
    }
}

awaitable<Response> index_document(Node& node, Request& request) {
    const std::string op = request.query.text("op_type", "index");
    if (op != "index" && op != "create")
        throw illegal_argument("opType must be 'create' or 'index', found: [" + op + "]");
    WriteRequest write =
        write_request(request, op == "create" ? WriteKind::create : WriteKind::index);
    write.source = co_await new_document(node, request);
    co_return co_await write_one(node, request, std::move(write));
}

awaitable<Response> create_document(Node& node, Request& request) {
    WriteRequest write = write_request(request, WriteKind::create);
    write.source = co_await new_document(node, request);
    co_return co_await write_one(node, request, std::move(write));
}

awaitable<Response> delete_document(Node& node, Request& request) {
    co_return co_await write_one(node, request, write_request(request, WriteKind::remove));
}

awaitable<Response> update_document(Node& node, Request& request) {
    if (request.query.has("version") || request.query.has("version_type"))
        throw action_validation({kNoInternalVersioning});
    WriteRequest write = write_request(request, WriteKind::update);
    write.source = co_await document_text(request);
    write.retry_on_conflict = static_cast<int>(request.query.integer("retry_on_conflict", 0));
    const SourceFilter filter = SourceFilter::from(request.query);
    if (request.query.has("_source") || !filter.keeps_all()) write.source_in_answer = filter;
    co_return co_await write_one(node, request, std::move(write));
}

// ---- reading

/// What a get shows of a document, and by which routing it asks for it.
struct View {
    std::optional<SourceFilter> source;      ///< where somebody has asked for it
    std::vector<std::string> stored_fields;  ///< names
    std::string routing;
    std::optional<std::int64_t> version;  ///< which it must have

    static View from(const Parameters& query) {
        View view;
        const SourceFilter filter = SourceFilter::from(query);
        if (query.has("_source") || !filter.keeps_all()) view.source = filter;
        view.routing = query.text("routing");
        view.stored_fields = query.list("stored_fields");
        return view;
    }

    /// Whoever asks for stored fields gets the source only when it is among them.
    SourceFilter filter() const {
        SourceFilter all;
        if (source) return *source;
        const auto end = stored_fields.end();
        all.fetch =
            stored_fields.empty() || std::find(stored_fields.begin(), end, "_source") != end;
        return all;
    }
};

struct Found {
    std::string index;
    std::string id;
    std::optional<io::StoredDocument> document;
    std::shared_ptr<const IndexMetadata> metadata;
};

/// Which state of an index a get reads.
struct Reading {
    bool realtime = true;  ///< everything that is written; else what searches see
    bool refresh = false;  ///< searches see everything from now on

    static Reading from(const Parameters& query) {
        return {query.flag("realtime", true), query.flag("refresh")};
    }
};

/// Blocks.
Found find(const Node& node, std::string index, std::string id, const std::string& routing,
           const Reading& reading) {
    Found found{std::move(index), std::move(id), {}, {}};
    const auto begin = std::chrono::steady_clock::now();
    found.metadata = node.indices->metadata(found.index);
    if (reading.refresh) node.store->refresh(found.index);
    found.document = reading.realtime
                         ? node.store->get(found.index, found.id, true)
                         : node.store->searchable(found.index)->document(found.id, true);
    if (found.document && found.metadata &&
        !found.metadata->finds(found.id, found.document->routing, routing))
        found.document.reset();
    IndexCounts counts;
    (found.document ? counts.found : counts.missing) = 1;
    (found.document ? counts.finding : counts.missing_time) =
        std::chrono::steady_clock::now() - begin;
    node.indices->activity().add(found.index, counts);
    return found;
}

/// The mapping says `"store": true` for it.
bool is_stored(const JsonTree& mappings, const std::string& field) {
    const JsonTree* level = &mappings;
    for (const std::string& name : split_list(field, '.')) {
        const JsonTree* inner = level->find("properties");
        if (inner == nullptr) inner = level->find("fields");
        level = inner == nullptr ? nullptr : inner->find(name);
        if (level == nullptr) return false;
    }
    const JsonTree* store = level->find("store");
    return store != nullptr && store->content() == "true";
}

void write_stored_fields(const Found& found, const View& view, JsonWriter& json) {
    const JsonTree mappings = JsonTree::parse(found.metadata ? found.metadata->mappings : "{}");
    document::Arena arena;
    const auto source = parse_stored(found.document->source, arena);
    if (!source) return;
    std::string fields;
    JsonWriter inner(fields);
    inner.object([&] {
        for (const std::string& field : view.stored_fields) {
            if (!is_stored(mappings, field)) continue;
            inner.member_array(field, [&] {
                io::visit_values(*source, field, [&](Value value) {
                    inner.raw(json_text(value));
                    return false;
                });
            });
        }
    });
    if (fields != "{}") json.member_raw("fields", fields);
}

void write_found(const Found& found, const View& view, bool with_type, JsonWriter& json) {
    const SourceFilter filter = view.filter();
    json.object([&] {
        json.member("_index", found.index);
        if (with_type) json.member("_type", "_doc");
        json.member("_id", found.id);
        if (!found.document) {
            json.member("found", false);
            return;
        }
        json.member("_version", found.document->version);
        json.member("_seq_no", found.document->seq_no);
        json.member("_primary_term", 1);
        if (!found.document->routing.empty()) json.member("_routing", found.document->routing);
        json.member("found", true);
        if (filter.fetch && (!found.metadata || found.metadata->keeps_source))
            json.member_raw("_source", filter.apply(found.document->source));
        if (!view.stored_fields.empty()) write_stored_fields(found, view, json);
    });
}

void check_version(const Found& found, std::int64_t wanted) {
    if (!found.document || found.document->version == wanted) return;
    throw ApiError(409, "version_conflict_engine_exception",
                   "[" + found.id + "]: version conflict, current version [" +
                       std::to_string(found.document->version) +
                       "] is different than the one provided [" + std::to_string(wanted) + "]");
}

void check_version(const Request& request, const Found& found) {
    version_type_of(request.query.text("version_type"));  // all types mean equality here
    if (request.query.has("version")) check_version(found, request.query.integer("version", -1));
}

awaitable<Found> find_document(Node& node, Request& request) {
    const Reading reading = Reading::from(request.query);
    co_return co_await runtime::call_on(node.runtime->blocking(), [&] {
        return find(node, node.indices->single(request.part("index")), request.part("id"),
                    request.query.text("routing"), reading);
    });
}

bool with_type(const Node& node) {
    return node.compat.is_elasticsearch() && node.compat.major == 7;
}

awaitable<Response> get_document(Node& node, Request& request) {
    const View view = View::from(request.query);
    const Found found = co_await find_document(node, request);
    check_version(request, found);
    std::string out;
    JsonWriter json(out);
    write_found(found, view, with_type(node), json);
    co_return Response::json(std::move(out), found.document ? 200 : 404);
}

awaitable<Response> get_source(Node& node, Request& request) {
    const SourceFilter filter = SourceFilter::from(request.query);
    if (!filter.fetch) throw action_validation({"fetching source can not be disabled"});
    const Found found = co_await find_document(node, request);
    check_version(request, found);
    if (!found.document || (found.metadata && !found.metadata->keeps_source)) {
        throw resource_not_found("Document not found [" + found.index + "]/[_doc]/[" + found.id +
                                 "]");
    }
    co_return Response::json(filter.apply(found.document->source));
}

// ---- many at once

struct Wanted {
    std::string index;
    std::string id;
    View view;
};

std::vector<std::string> names_of(const Value& value, std::string_view option) {
    std::vector<std::string> names;
    if (value.is_string()) {
        names.emplace_back(value.as_string());
    } else if (value.is_array()) {
        for (const Value& name : value.as_array())
            names.push_back(content_of(name));
    } else {
        throw parsing_error("[" + std::string(option) + "] must be a name or a list of names");
    }
    return names;
}

/// One member of one of several: which document, and what is shown of it otherwise than the request
/// says of all.
void read_wanted(const document::Member& member, Wanted& wanted) {
    const std::string_view name = member.key();
    const Value& value = member.value;
    if (name == "_index") {
        wanted.index = content_of(value);
    } else if (name == "_id") {
        wanted.id = content_of(value);
    } else if (name == "routing") {
        wanted.view.routing = content_of(value);
    } else if (name == "_source") {
        wanted.view.source = SourceFilter::from(value);
    } else if (name == "stored_fields") {
        wanted.view.stored_fields = names_of(value, name);
    } else if (name == "version" && value.is_integer()) {
        wanted.view.version = value.as_integer();
    } else if (name == "version_type") {
        version_type_of(content_of(value));
    } else if (name == "fields") {
        throw parsing_error("Unsupported field [fields] used, expected [stored_fields] instead");
    } else if (name != "_type") {
        throw ApiError(
            400, "parse_exception",
            "failed to parse multi get request. unknown field [" + std::string(name) + "]");
    }
}

Wanted read_wanted(const Value& value, Wanted wanted) {
    if (!value.is_object()) throw parsing_error("docs array element should include an object");
    for (const document::Member& member : value.as_object()) {
        if (!member.value.is_null()) read_wanted(member, wanted);
    }
    return wanted;
}

/// What the body lists.
std::vector<Wanted> listed_documents(const JsonBody& body, const Wanted& common) {
    std::vector<Wanted> wanted;
    for (const document::Member& member : body.root()) {
        const std::string_view name = member.key();
        if (!member.value.is_array() || (name != "docs" && name != "ids"))
            throw parsing_error("unknown key [" + std::string(name) +
                                "], expected an array of [docs] or [ids]");
        for (const Value& one : member.value.as_array()) {
            if (name == "docs") {
                wanted.push_back(read_wanted(one, common));
            } else if (one.is_object() || one.is_array() || one.is_null()) {
                throw illegal_argument("ids array element should only contain ids");
            } else {
                wanted.push_back(common);
                wanted.back().id = content_of(one);
            }
        }
    }
    return wanted;
}

std::vector<Wanted> wanted_documents(const Request& request, const JsonBody& body) {
    const std::vector<Wanted> wanted =
        listed_documents(body, {request.part("index"), "", View::from(request.query)});
    std::vector<std::string> problems;
    if (wanted.empty()) problems.emplace_back("no documents to get");
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::string number = std::to_string(i);
        if (wanted[i].index.empty()) problems.push_back("index is missing for doc " + number);
        if (wanted[i].id.empty()) problems.push_back("id is missing for doc " + number);
    }
    if (!problems.empty()) throw action_validation(problems);
    return wanted;
}

void write_wanted(Node& node, const Request& request, const Wanted& one, const Reading& reading,
                  JsonWriter& json) {
    try {
        authorize_names(node, request, one.index);
        const std::string index = node.indices->single(one.index);
        authorize_index(node, request, index, one.index);
        const Found found = find(node, index, one.id, one.view.routing, reading);
        if (one.view.version) check_version(found, *one.view.version);
        write_found(found, one.view, with_type(node), json);
    } catch (const ApiError& error) {
        json.object([&] {
            json.member("_index", one.index);
            json.member("_id", one.id);
            json.member_raw("error", error.object(true));
        });
    }
}

awaitable<Response> get_many(Node& node, Request& request) {
    JsonBody body;
    co_await body.read(request);
    if (body.empty())
        throw ApiError(400, "parse_exception", "request body or source parameter is required");
    const std::vector<Wanted> wanted = wanted_documents(request, body);
    const Reading reading = Reading::from(request.query);
    co_return co_await runtime::call_on(node.runtime->blocking(), [&] {
        std::string out;
        JsonWriter json(out);
        json.object([&] {
            json.member_array("docs", [&] {
                for (const Wanted& one : wanted)
                    write_wanted(node, request, one, reading, json);
            });
        });
        return Response::json(std::move(out));
    });
}

}  // namespace

void add_document_routes(Router& router, Node& node) {
    const auto with = [&node](auto function) {
        return [&node, function](Request& request) { return function(node, request); };
    };
    const std::vector<std::string> write{"routing",
                                         "version",
                                         "version_type",
                                         "if_seq_no",
                                         "if_primary_term",
                                         "require_alias",
                                         "pipeline",
                                         "refresh",
                                         "timeout",
                                         "wait_for_active_shards",
                                         "op_type",
                                         "require_data_stream",
                                         "include_source_on_error"};
    std::vector<std::string> update = write;
    for (const char* name :
         {"retry_on_conflict", "_source", "_source_includes", "_source_excludes", "lang"})
        update.emplace_back(name);
    const std::vector<std::string> read{"routing",
                                        "version",
                                        "version_type",
                                        "preference",
                                        "realtime",
                                        "refresh",
                                        "stored_fields",
                                        "_source",
                                        "_source_includes",
                                        "_source_excludes",
                                        "_source_include",
                                        "_source_exclude",
                                        "force_synthetic_source",
                                        "_source_exclude_vectors"};
    router.add("PUT POST", "/{index}/_doc/{id}", with(index_document), write);
    router.add("POST", "/{index}/_doc", with(index_document), write);
    router.add("PUT POST", "/{index}/_create/{id}", with(create_document), write);
    router.add("DELETE", "/{index}/_doc/{id}", with(delete_document), write);
    router.add("POST", "/{index}/_update/{id}", with(update_document), update);
    router.add("GET", "/{index}/_doc/{id}", with(get_document), read);
    router.add("GET", "/{index}/_source/{id}", with(get_source), read);
    router.add("GET POST", "/_mget", with(get_many), read);
    router.add("GET POST", "/{index}/_mget", with(get_many), read);
}

}  // namespace penstock::serve
