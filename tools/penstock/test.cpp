// penstock test: the cases that pipeline files carry.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>

#include "engine/document/document.h"
#include "engine/document/json.h"
#include "engine/pipeline/simulate.h"
#include "tools/penstock/command.h"
#include "tools/penstock/diff.h"
#include "tools/penstock/pipeline_files.h"

namespace penstock::tools {

namespace {

using document::Value;
using pipeline::Node;

constexpr const char* case_form =
    "a case has [name], [in] (a source, or {_id, _index, _source}), and what is expected: [out] "
    "(the whole source), "
    "[fields] (path: value), [lengths] (path: length of a list), [absent] (paths), [meta] (_id, "
    "_index ...), "
    "[dropped: true] or [fails: reason]; [timestamp] sets _ingest.timestamp";

/// What one case came to: nothing when it passed.
using Problems = std::vector<std::string>;

std::string json(Value value) {
    std::string out;
    document::write_json(value, out);
    return out;
}

/// The documents of one case, parsed.
class Result {
  public:
    explicit Result(const std::string& text) : document_(arena_) {
        document::JsonParser parser;
        document::JsonError error;
        Value value;
        if (!parser.parse(text, arena_, value, error)) return;
        whole_ = value;
        if (const Value* source = value.as_object().get("_source")) document_.set_source(*source);
    }
    document::Document& document() { return document_; }
    const Value* meta(std::string_view name) const { return whole_.as_object().get(name); }
    document::Arena& arena() { return arena_; }

  private:
    document::Arena arena_;
    document::Document document_;
    Value whole_;
};

void check_out(const Node& expected, Result& result, Problems& problems) {
    Value wanted = expected.to_value(result.arena());
    if (document::equal(wanted, result.document().source())) return;
    std::string before;
    std::string after;
    document::write_pretty_json(wanted, before);
    document::write_pretty_json(result.document().source(), after);
    problems.push_back("[out] differs (- expected, + found)\n" + diff_lines(before, after, false));
}

const Value* field(Result& result, const std::string& name, Problems& problems) {
    auto path = document::FieldPath::parse(name);
    const Value* found = path ? result.document().find(*path) : nullptr;
    if (found == nullptr) problems.push_back("field [" + name + "] is missing");
    return found;
}

void check_fields(const Node& expected, Result& result, Problems& problems) {
    for (const auto& entry : expected.entries) {
        const Value* found = field(result, entry.key, problems);
        Value wanted = entry.value.to_value(result.arena());
        if (found != nullptr && !document::equal(wanted, *found)) {
            problems.push_back("field [" + entry.key + "] is " + json(*found) + ", expected " +
                               json(wanted));
        }
    }
}

void check_lengths(const Node& expected, Result& result, Problems& problems) {
    for (const auto& entry : expected.entries) {
        const Value* found = field(result, entry.key, problems);
        if (found == nullptr) continue;
        std::int64_t length =
            found->is_array() ? static_cast<std::int64_t>(found->as_array().size()) : -1;
        if (length != entry.value.integer) {
            problems.push_back(
                "field [" + entry.key + "] " +
                (length < 0 ? "is no list" : "has length " + std::to_string(length)) +
                ", expected length " + std::to_string(entry.value.integer));
        }
    }
}

void check_absent(const Node& expected, Result& result, Problems& problems) {
    for (const Node& name : expected.items) {
        auto path = document::FieldPath::parse(name.text);
        if (path && result.document().has(*path))
            problems.push_back("field [" + name.text + "] is there, expected it absent");
    }
}

void check_meta(const Node& expected, Result& result, Problems& problems) {
    for (const auto& entry : expected.entries) {
        const Value* found = result.meta(entry.key);
        Value wanted = entry.value.to_value(result.arena());
        if (found == nullptr || !document::equal(wanted, *found)) {
            problems.push_back("metadata [" + entry.key + "] is " +
                               (found ? json(*found) : "absent") + ", expected " + json(wanted));
        }
    }
}

Problems check(const Node& expected, const pipeline::SimulatedDocument& found) {
    Problems problems;
    const Node* fails = expected.find("fails");
    const Node* dropped = expected.find("dropped");
    if (found.fate == pipeline::Fate::failed) {
        if (fails == nullptr) {
            problems.push_back("failed: " + found.failure.reason);
        } else if (fails->text != found.failure.reason) {
            problems.push_back("failed: " + found.failure.reason + "\nexpected: " + fails->text);
        }
        return problems;
    }
    if (fails != nullptr) problems.push_back("did not fail, expected: " + fails->text);
    bool wants_drop = dropped != nullptr && dropped->boolean;
    if ((found.fate == pipeline::Fate::dropped) != wants_drop) {
        problems.push_back(wants_drop ? "was not dropped" : "was dropped");
    }
    if (found.fate == pipeline::Fate::dropped || fails != nullptr) return problems;
    Result result(found.after);
    if (const Node* out = expected.find("out")) check_out(*out, result, problems);
    if (const Node* fields = expected.find("fields")) check_fields(*fields, result, problems);
    if (const Node* lengths = expected.find("lengths")) check_lengths(*lengths, result, problems);
    if (const Node* absent = expected.find("absent")) check_absent(*absent, result, problems);
    if (const Node* meta = expected.find("meta")) check_meta(*meta, result, problems);
    return problems;
}

/// Mistakes in the case itself.
void check_form(const Node& test, const std::string& file, pipeline::Diagnostics& diagnostics) {
    static const std::vector<std::string_view> known = {"name",    "in",       "out",  "fields",
                                                        "lengths", "absent",   "meta", "dropped",
                                                        "fails",   "timestamp"};
    auto report = [&](pipeline::Position position, std::string message) {
        diagnostics.add(
            {pipeline::Severity::error, file, position, "", "", std::move(message), case_form});
    };
    if (!test.is_map())
        return report(test.position, "a test case must be a map, found " + test.describe());
    const Node* in = test.find("in");
    if (in == nullptr || !in->is_map()) report(test.position, "a test case needs [in], a document");
    bool expects = false;
    for (const auto& entry : test.entries) {
        if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
            report(entry.position, "a test case has no member [" + entry.key + "]");
        }
        expects = expects || (entry.key != "name" && entry.key != "in" && entry.key != "timestamp");
    }
    if (!expects) report(test.position, "a test case that expects nothing cannot fail");
}

class Runner {
  public:
    explicit Runner(const CommonOptions& common) : common_(common), workspace_(common) {}

    int run(const std::vector<std::string>& paths) {
        for (const auto& file : pipeline_files(workspace_, paths))
            run_file(file);
        if (common_.json) {
            std::printf("{\"passed\":%zu,\"failed\":%zu,\"cases\":[%s]}\n", passed_, failed_,
                        json_.c_str());
        } else {
            std::printf("%zu passed, %zu failed\n", passed_, failed_);
        }
        if (passed_ + failed_ == 0)
            throw Error("there are no test cases: add a [tests] list to the pipeline files");
        return failed_ == 0 ? exit_ok : exit_error;
    }

  private:
    void run_file(const std::filesystem::path& file) {
        LoadedPipeline loaded = workspace_.load_pipeline(file.string());
        const Node& tests = loaded.definitions.front().tests;
        if (tests.is_null()) {
            if (!common_.json) std::printf("%s: no tests\n", file.string().c_str());
            return;
        }
        pipeline::Diagnostics diagnostics;
        if (!tests.is_list()) {
            diagnostics.add({pipeline::Severity::error, file.string(), tests.position, "", "",
                             "[tests] must be a list of cases, found " + tests.describe(),
                             case_form});
        }
        for (const Node& test : tests.items)
            check_form(test, file.string(), diagnostics);
        if (diagnostics.has_errors()) throw pipeline::DefinitionError(std::move(diagnostics));
        workspace_.start_used_deployments();
        for (const Node& test : tests.items)
            run_case(file.string(), loaded, test);
    }

    void run_case(const std::string& file, const LoadedPipeline& loaded, const Node& test) {
        document::Arena arena;
        pipeline::SimulateOptions options;
        if (const Node* timestamp = test.find("timestamp")) options.timestamp = timestamp->text;
        auto simulated = boost::asio::co_spawn(
                             workspace_.runtime().cpu(),
                             pipeline::simulate(loaded.set, *loaded.pipeline,
                                                {json(test.find("in")->to_value(arena))}, options),
                             boost::asio::use_future)
                             .get();
        report(file, test, check(test, simulated.front()));
    }

    void report(const std::string& file, const Node& test, const Problems& problems) {
        const Node* name = test.find("name");
        std::string title = name ? name->text : "case";
        ++(problems.empty() ? passed_ : failed_);
        if (common_.json) {
            if (!json_.empty()) json_ += ',';
            json_ += "{\"file\":";
            document::write_json_string(file, json_);
            json_ += ",\"line\":" + std::to_string(test.position.line) + ",\"name\":";
            document::write_json_string(title, json_);
            json_ += ",\"problems\":[";
            for (const std::string& problem : problems) {
                if (json_.back() != '[') json_ += ',';
                document::write_json_string(problem, json_);
            }
            json_ += "]}";
            return;
        }
        if (problems.empty()) return;
        std::printf("%s:%u: %s\n", file.c_str(), test.position.line, title.c_str());
        for (const std::string& problem : problems)
            std::printf("  %s\n", problem.c_str());
    }

    const CommonOptions& common_;
    Workspace workspace_;
    std::size_t passed_ = 0;
    std::size_t failed_ = 0;
    std::string json_;
};

}  // namespace

void add_test(CommandLine& line) {
    auto paths = std::make_shared<std::vector<std::string>>();
    CLI::App* command = line.add(line.app, "test", "Run the test cases that pipeline files carry",
                                 "  penstock test\n  penstock test pipelines/clean.yml --json");
    command->add_option("PIPELINE", *paths,
                        "Files, folders or ids; else all in the pipeline directories");
    command->callback([&line, paths] {
        line.action = [&line, paths] { return Runner(line.common).run(*paths); };
    });
}

}  // namespace penstock::tools
