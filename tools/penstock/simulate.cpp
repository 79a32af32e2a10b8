// penstock simulate: what a pipeline makes of some documents, step by step.
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "engine/document/json.h"
#include "engine/pipeline/simulate.h"
#include "tools/penstock/command.h"
#include "tools/penstock/diff.h"

namespace penstock::tools {

namespace {

using document::Value;

/// Splits what was given into documents: {"docs": [...]} as the API takes it, an array, one object,
/// or NDJSON.
class DocumentTexts {
  public:
    explicit DocumentTexts(std::vector<std::string>& out) : out_(out) {}

    void add(const std::string& text, const std::string& name) {
        std::string_view rest = text;
        while (true) {
            std::size_t begin = rest.find_first_not_of(" \t\r\n");
            if (begin == std::string_view::npos) return;
            rest.remove_prefix(begin);
            Value value;
            document::JsonError error;
            document::JsonOptions options;
            options.allow_trailing = true;
            std::size_t used = 0;
            if (!parser_.parse(rest, arena_, value, error, options, &used)) {
                throw Error(name + " is not JSON: " + error.text());
            }
            add_value(value, rest.substr(0, used));
            rest.remove_prefix(used);
        }
    }

  private:
    void add_value(Value value, std::string_view text) {
        const Value* docs = value.is_object() ? value.as_object().get("docs") : nullptr;
        if (docs != nullptr && docs->is_array()) value = *docs;
        if (!value.is_array()) {
            out_.emplace_back(text);
            return;
        }
        for (const Value& item : value.as_array())
            document::write_json(item, out_.emplace_back());
    }

    std::vector<std::string>& out_;
    document::Arena arena_;
    document::JsonParser parser_;
};

std::string read_all(const std::string& file) {
    std::stringstream content;
    if (file == "-") {
        content << std::cin.rdbuf();
    } else {
        std::ifstream in(file, std::ios::binary);
        if (!in || std::filesystem::is_directory(file)) {
            throw Error("cannot read [" + file +
                        "]: neither a file nor a document (which begins with { or [)");
        }
        content << in.rdbuf();
    }
    return content.str();
}

std::string pretty(const std::string& json) {
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    Value value;
    std::string out;
    if (!json.empty() && parser.parse(json, arena, value, error))
        document::write_pretty_json(value, out);
    return out;
}

void print_failure(const document::Failure& failure) {
    std::printf("  failed: %s: %s\n", std::string(document::type_name(failure.type)).c_str(),
                failure.reason.c_str());
    if (!failure.processor_type.empty()) {
        std::printf("  in processor [%s]%s of pipeline [%s]\n", failure.processor_type.c_str(),
                    failure.processor_tag.empty()
                        ? ""
                        : (" with tag [" + failure.processor_tag + "]").c_str(),
                    failure.pipeline.c_str());
    }
}

void print_step(const pipeline::SimulatedStep& step, std::string& before, bool colour) {
    std::string label = step.processor_type + (step.tag.empty() ? "" : ":" + step.tag);
    using Status = pipeline::StepObserver::Status;
    switch (step.status) {
        case Status::error:
            std::printf("%s  failed: %s\n", label.c_str(), step.failure.reason.c_str());
            return;
        case Status::dropped:
            std::printf("%s  dropped the document\n", label.c_str());
            return;
        case Status::error_ignored:
            std::printf("%s  failed, ignored: %s\n", label.c_str(), step.failure.reason.c_str());
            break;
        default:
            std::printf("%s%s\n", label.c_str(),
                        step.description.empty() ? "" : ("  " + step.description).c_str());
    }
    std::string after = pretty(step.document);
    std::string changes = diff_lines(before, after, colour);
    std::printf("%s", changes.empty() ? "  (no change)\n" : changes.c_str());
    before = after;
}

void print(const std::vector<pipeline::SimulatedDocument>& documents, bool verbose) {
    bool colour = ::isatty(STDOUT_FILENO) == 1;
    for (std::size_t i = 0; i < documents.size(); ++i) {
        const pipeline::SimulatedDocument& one = documents[i];
        if (documents.size() > 1) std::printf("%sdocument %zu\n", i > 0 ? "\n" : "", i + 1);
        std::string before = pretty(one.before);
        if (verbose) {
            for (const pipeline::SimulatedStep& step : one.steps)
                print_step(step, before, colour);
        }
        if (one.fate == pipeline::Fate::failed) {
            print_failure(one.failure);
        } else if (one.fate == pipeline::Fate::dropped) {
            std::printf("  dropped\n");
        } else if (!verbose) {
            std::printf("%s", diff_lines(before, pretty(one.after), colour).c_str());
        }
    }
}

struct Options {
    std::string pipeline;
    std::vector<std::string> documents;
    std::string timestamp;
    bool verbose = false;
};

int simulate(const CommonOptions& common, const Options& options) {
    Workspace workspace(common);
    std::vector<std::string> texts;
    DocumentTexts reader(texts);
    for (const std::string& document : options.documents) {
        bool inline_text = document.find_first_of("{[") == 0;
        reader.add(inline_text ? document : read_all(document),
                   inline_text ? "the document" : document);
    }
    LoadedPipeline loaded = workspace.load_pipeline(options.pipeline);
    workspace.start_used_deployments();
    auto simulated = boost::asio::co_spawn(workspace.runtime().cpu(),
                                           pipeline::simulate(loaded.set, *loaded.pipeline, texts,
                                                              {options.verbose, options.timestamp}),
                                           boost::asio::use_future)
                         .get();
    if (common.json) {
        std::printf("%s\n", pipeline::simulate_response(simulated, options.verbose).c_str());
    } else {
        print(simulated, options.verbose);
    }
    for (const auto& one : simulated) {
        if (one.fate == pipeline::Fate::failed) return exit_documents_failed;
    }
    return exit_ok;
}

}  // namespace

void add_simulate(CommandLine& line) {
    auto options = std::make_shared<Options>();
    CLI::App* command =
        line.add(line.app, "simulate", "Show what a pipeline makes of documents, step by step",
                 "  penstock simulate clean.yml '{\"host\":\"A\"}' --verbose\n"
                 "  penstock simulate clean samples.ndjson --json");
    command
        ->add_option("PIPELINE", options->pipeline,
                     "A definition file, or an id in the pipeline directories")
        ->required();
    command
        ->add_option("DOC", options->documents,
                     "Files, - for standard input, or JSON: a source, {_index, _id, _source}, "
                     "{docs: [...]}, NDJSON")
        ->required();
    command->add_flag("--verbose", options->verbose, "Show every step");
    command
        ->add_option("--timestamp", options->timestamp, "Value of _ingest.timestamp instead of now")
        ->type_name("TIME");
    command->callback([&line, options] {
        line.action = [&line, options] { return simulate(line.common, *options); };
    });
}

}  // namespace penstock::tools
