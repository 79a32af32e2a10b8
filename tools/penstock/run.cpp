// penstock run: NDJSON in, through a pipeline, NDJSON out.
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/document/json.h"
#include "engine/job/reindex.h"
#include "tools/penstock/command.h"
#include "tools/penstock/interrupt.h"
#include "tools/penstock/pipeline_stats.h"

namespace penstock::tools {

namespace {

/// Writes documents as lines, as they are: an id only where one was given.
class LineSink final : public io::Sink {
  public:
    explicit LineSink(int file) : file_(file) {}

    void write(std::span<const io::WriteItem> items,
               std::vector<io::ItemResult>& results) override {
        results.clear();
        for (const io::WriteItem& item : items) {
            append(item);
            results.push_back({.status = 201, .result = "created", .id = std::string(item.id)});
        }
        flush();
    }
    void flush() override {
        std::size_t done = 0;
        while (done < buffer_.size()) {
            ssize_t wrote = ::write(file_, buffer_.data() + done, buffer_.size() - done);
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote < 0)
                throw Error(std::string("cannot write the output: ") + std::strerror(errno));
            done += static_cast<std::size_t>(wrote);
        }
        buffer_.clear();
    }
    std::string checkpoint() override { return "{}"; }
    void restore(std::string_view) override { throw Error("a pipe cannot be resumed"); }

  private:
    void append(const io::WriteItem& item) {
        buffer_ += '{';
        member("_index", item.index);
        member("_id", item.id);
        member("_routing", item.routing);
        std::string_view rest = item.source.substr(1);
        if (rest == "}" && buffer_.back() == ',') buffer_.pop_back();
        buffer_ += rest;
        buffer_ += '\n';
    }
    void member(std::string_view name, std::string_view value) {
        if (value.empty()) return;
        document::write_json_string(name, buffer_);
        buffer_ += ':';
        document::write_json_string(value, buffer_);
        buffer_ += ',';
    }

    int file_;
    std::string buffer_;
};

struct RunOptions {
    std::string pipeline;
    std::string source = "-";
    std::string format;
    std::string dead_letter;
    bool stop_on_failure = false;
    bool stats = false;
};

int run_pipeline(const CommonOptions& common, const RunOptions& options) {
    Workspace workspace(common);
    LoadedPipeline loaded = workspace.load_pipeline(options.pipeline);
    workspace.start_used_deployments();

    io::SourceOptions source;
    source.location = options.source;
    if (!options.format.empty()) source.format = io::format_from_name(options.format);
    if (source.location.starts_with("index:")) source.store = workspace.indices();

    job::ReindexSettings settings;
    settings.batch.make_ids = false;
    settings.batch.honour_index = true;
    if (loaded.pipeline->waits) settings.batch_bytes = 64 * 1024;
    job::ReindexParts parts;
    parts.pipelines = loaded.set;
    parts.pipeline = loaded.pipeline;
    parts.sources.push_back(io::open_source(source));
    parts.sink = std::make_unique<LineSink>(STDOUT_FILENO);
    if (!options.dead_letter.empty())
        parts.dead_letter = std::make_unique<io::DeadLetter>(options.dead_letter);
    if (!options.stop_on_failure) {
        bool quiet = parts.dead_letter != nullptr;
        parts.on_failed = [quiet](const io::DeadDocument& dead) {
            if (quiet) return;
            std::string text(dead.location);
            text += ": ";
            if (!dead.processor_type.empty()) {
                text += "[" + std::string(dead.processor_type) +
                        (dead.processor_tag.empty() ? "" : ":" + std::string(dead.processor_tag)) +
                        "] ";
            }
            text += dead.message;
            std::fprintf(stderr, "penstock: %s\n", text.c_str());
        };
    }

    job::Reindex reindex(workspace.runtime(), std::move(settings), std::move(parts));
    Interrupt interrupt(workspace.runtime(),
                        [&](int count) { count == 1 ? reindex.cancel() : reindex.cancel_now(); });
    job::ReindexStatus status =
        boost::asio::co_spawn(workspace.runtime().cpu(), reindex.run(), boost::asio::use_future)
            .get();
    if (options.stats) std::fprintf(stderr, "%s", pipeline_stats_text(*loaded.set).c_str());
    if (status.state == job::ReindexState::failed) throw Error(status.error);
    if (status.state == job::ReindexState::cancelled) return exit_interrupted;
    return status.totals.failed > 0 || status.totals.source_incomplete ? exit_documents_failed
                                                                       : exit_ok;
}

}  // namespace

void add_run(CommandLine& line) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* command = line.add(
        line.app, "run", "Run NDJSON from standard input through a pipeline to standard output",
        "  penstock run clean.yml < in.ndjson > out.ndjson\n"
        "  zcat logs.ndjson.gz | penstock run logs --dead-letter failed.dead-letter.ndjson");
    command
        ->add_option("PIPELINE", options->pipeline,
                     "A definition file, or an id in the pipeline directories")
        ->required();
    command
        ->add_option("--source", options->source,
                     "File, directory, glob or index:NAME instead of standard input")
        ->capture_default_str();
    command->add_option("--format", options->format, "Format of the source")
        ->check(CLI::IsMember({"ndjson", "jsonl", "json", "csv", "tsv", "dead_letter"}));
    command
        ->add_option("--dead-letter", options->dead_letter,
                     "Write failed documents here instead of reporting them on stderr")
        ->type_name("FILE");
    command
        ->add_flag("--stop-on-failure", options->stop_on_failure,
                   "End at the first document that fails")
        ->excludes("--dead-letter");
    command->add_flag("--stats", options->stats,
                      "Afterwards, on stderr: count, time and failures of every processor");
    command->callback([&line, options] {
        line.action = [&line, options] { return run_pipeline(line.common, *options); };
    });
}

}  // namespace penstock::tools
