// penstock search: by meaning, by words, or both.
#include <unistd.h>

#include <cstdio>

#include "engine/document/json.h"
#include "tools/penstock/command.h"
#include "tools/penstock/text_layout.h"

namespace penstock::tools {

namespace {

struct Options {
    std::string index;
    std::string text;
    std::string queries;
    std::string deployment;
    std::string field;
    std::size_t k = 10;
    std::size_t num_candidates = 100;
    bool hybrid = false;
    bool exact = false;
    bool source = false;
};

/// One question; `id` only when it comes from a file.
struct Query {
    std::string id;
    std::string text;
};

/// `text` of every line, with its `_id`.
std::vector<Query> read_queries(const std::string& file) {
    auto source = io::open_source({.location = file});
    std::vector<Query> queries;
    io::RecordBatch batch;
    document::JsonParser parser;
    while (source->read(batch, 1000, 1 << 20)) {
        for (const io::Record& record : batch.records) {
            document::Arena arena;
            document::Value value;
            document::JsonError error;
            if (!parser.parse(batch.text(record), arena, value, error)) {
                throw Error(batch.location(record) + " is not JSON: " + error.text());
            }
            const document::Value* text =
                value.is_object() ? value.as_object().get("text") : nullptr;
            const document::Value* id = value.is_object() ? value.as_object().get("_id") : nullptr;
            if (text == nullptr || !text->is_string())
                throw Error(batch.location(record) + " has no string [text]");
            Query& query = queries.emplace_back();
            query.text = text->as_string();
            if (id != nullptr) document::append_java_string(*id, query.id);
        }
    }
    return queries;
}

std::vector<std::vector<float>> embed(Workspace& workspace, const std::string& deployment_id,
                                      const std::vector<Query>& queries) {
    auto deployment = workspace.start_deployment(deployment_id);
    std::vector<std::string_view> texts;
    texts.reserve(queries.size());
    for (const Query& query : queries)
        texts.push_back(query.text);
    inference::InferRequest request{texts, {}};
    request.options.prefix = inference::PrefixKind::search;
    request.options.priority = inference::RequestPriority::high;
    request.options.timeout = std::chrono::minutes(10);
    inference::InferResult result = inference::infer_blocking(*deployment, request);
    std::vector<std::vector<float>> vectors;
    for (const inference::InferItem& item : result.items) {
        if (!item.ok()) throw Error(item.error->reason);
        if (item.is_truncated) {
            std::fprintf(
                stderr,
                "penstock: a query is longer than the model takes: its end was not looked at\n");
        }
        auto values = item.embedding();
        vectors.emplace_back(values.begin(), values.end());
    }
    return vectors;
}

/// Elasticsearch's search response, with the passage under `inner_hits`' role as `passage`.
void print_json(const std::vector<io::Hit>& hits, const std::string& index, const Query& query,
                bool source) {
    std::string out = "{";
    if (!query.id.empty()) {
        out += "\"query_id\":";
        document::write_json_string(query.id, out);
        out += ',';
    }
    out += "\"hits\":{\"total\":{\"value\":" + std::to_string(hits.size()) +
           ",\"relation\":\"eq\"},\"max_score\":";
    if (hits.empty()) {
        out += "null";
    } else {
        document::append_double(hits.front().score, out);
    }
    out += ",\"hits\":[";
    for (const io::Hit& hit : hits) {
        if (out.back() != '[') out += ',';
        out += "{\"_index\":";
        document::write_json_string(index, out);
        out += ",\"_id\":";
        document::write_json_string(hit.document.id, out);
        out += ",\"_score\":";
        document::append_double(hit.score, out);
        out += ",\"passage\":{\"field\":";
        document::write_json_string(hit.passage.field, out);
        if (hit.passage.index >= 0) out += ",\"offset\":" + std::to_string(hit.passage.index);
        out += ",\"text\":";
        document::write_json_string(hit.passage.text, out);
        out += '}';
        if (source) out += ",\"_source\":" + hit.document.source;
        out += '}';
    }
    std::printf("%s]}}\n", out.c_str());
}

std::string title_of(const io::Hit& hit) {
    document::Arena arena;
    document::JsonParser parser;
    document::Value value;
    document::JsonError error;
    if (!parser.parse(hit.document.source, arena, value, error) || !value.is_object()) return "";
    for (const char* name : {"title", "name", "subject"}) {
        const document::Value* field = value.as_object().get(name);
        if (field != nullptr && field->is_string()) return std::string(field->as_string());
    }
    return "";
}

void print(const std::vector<io::Hit>& hits) {
    if (hits.empty()) std::printf("nothing found\n");
    std::size_t width = output_width();
    for (std::size_t i = 0; i < hits.size(); ++i) {
        const io::Hit& hit = hits[i];
        std::string title = title_of(hit);
        std::printf("%2zu. %.4f  %s%s%s\n", i + 1, hit.score, hit.document.id.c_str(),
                    title.empty() ? "" : "  ", title.c_str());
        if (!hit.passage.text.empty()) {
            std::printf("%s", wrap(shorten(hit.passage.text, 400), width, "      ").c_str());
        }
    }
}

int search(const CommonOptions& common, const Options& options) {
    Workspace workspace(common);
    if (!workspace.indices()->exists(options.index)) {
        throw Error("there is no index [" + options.index +
                    "]; `penstock index list` shows those there are");
    }
    std::vector<Query> queries = options.queries.empty() ? std::vector<Query>{{"", options.text}}
                                                         : read_queries(options.queries);
    std::vector<std::vector<float>> vectors;
    if (!options.deployment.empty()) vectors = embed(workspace, options.deployment, queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
        io::SearchRequest request;
        request.size = options.k;
        if (vectors.empty() || options.hybrid)
            request.text = io::TextQuery{.text = queries[i].text};
        if (!vectors.empty()) {
            io::VectorQuery vector;
            vector.field = options.field;
            vector.num_candidates = std::max(options.num_candidates, options.k);
            vector.exact = options.exact;
            vector.vector = std::move(vectors[i]);
            request.vector = std::move(vector);
        }
        std::vector<io::Hit> hits = workspace.indices()->search(options.index, request);
        if (common.json) {
            print_json(hits, options.index, queries[i], options.source);
        } else {
            if (!options.queries.empty())
                std::printf("%s%s\n", i > 0 ? "\n" : "", queries[i].text.c_str());
            print(hits);
        }
    }
    return exit_ok;
}

}  // namespace

void add_search(CommandLine& line) {
    auto options = std::make_shared<Options>();
    CLI::App* command =
        line.add(line.app, "search", "Search an index by meaning, by words, or both",
                 "  penstock search speeches \"nuclear weapons\" --deployment search\n"
                 "  penstock search speeches \"peace treaty\" --deployment search --hybrid --k 5\n"
                 "  penstock search speeches inflation");
    command->add_option("INDEX", options->index, "An embedded index")->required();
    command->add_option("TEXT", options->text, "What to look for");
    command
        ->add_option("--queries", options->queries,
                     "Instead of TEXT: a file with a query in the [text] of each record; with "
                     "--json a line each")
        ->type_name("FILE");
    command
        ->add_option("--deployment", options->deployment,
                     "Search by meaning: embed the text with this deployment; without it by words")
        ->type_name("ID");
    command->add_option("--k", options->k, "Hits to show")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    command->add_flag("--hybrid", options->hybrid, "Join both rankings by reciprocal rank fusion");
    command->add_option("--field", options->field, "Vector field, when the index has several")
        ->type_name("FIELD");
    command
        ->add_option("--num-candidates", options->num_candidates,
                     "Vectors that a graph search looks at")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    command->add_flag("--exact", options->exact,
                      "Compare with every vector even when there is a graph");
    command->add_flag("--source", options->source, "With --json: each hit's whole document");
    command->callback([&line, options] {
        if (options->text.empty() == options->queries.empty()) {
            throw CLI::ValidationError("give a TEXT, or --queries with a file of them");
        }
        if (options->hybrid && options->deployment.empty()) {
            throw CLI::ValidationError("--hybrid joins words and meaning: it needs --deployment");
        }
        line.action = [&line, options] { return search(line.common, *options); };
    });
}

}  // namespace penstock::tools
