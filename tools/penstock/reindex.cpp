// penstock reindex: a corpus from a source, through a pipeline, to a destination; resumable.
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "engine/document/json.h"
#include "engine/job/reindex.h"
#include "tools/penstock/command.h"
#include "tools/penstock/deployment_stats.h"
#include "tools/penstock/interrupt.h"
#include "tools/penstock/pipeline_stats.h"
#include "tools/penstock/progress.h"
#include "tools/penstock/remote.h"

namespace penstock::tools {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

/// How long the second Ctrl-C waits.
constexpr std::chrono::seconds patience{3};

struct ReindexOptions {
    std::string source;
    std::string dest;
    std::string pipeline;
    std::string format;
    std::string id_field;
    std::string op_type = "index";
    std::string version_type = "internal";
    std::string conflicts = "abort";
    std::string slices = "1";
    std::string dead_letter;
    std::string checkpoint;
    std::string remote_api_key_file;
    std::uint64_t size = 1000;
    std::optional<std::uint64_t> max_docs;
    double requests_per_second = -1;
    bool resume = false;
    bool overwrite = false;
    bool quiet = false;
    bool stats = false;
};

std::string hash(const std::string& text) {
    char out[20];
    std::snprintf(out, sizeof out, "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
    return out;
}

/// One job at a time may use a checkpoint. The lock goes with the process, however it ends.
class JobLock {
  public:
    explicit JobLock(const fs::path& checkpoint) {
        fs::path file = checkpoint;
        file += ".lock";
        file_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (file_ < 0) throw Error("cannot write " + file.string() + ": " + std::strerror(errno));
        if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
            ::close(file_);
            throw Error("the same reindex is running already (it holds " + file.string() + ")");
        }
    }
    ~JobLock() { ::close(file_); }
    JobLock(const JobLock&) = delete;
    JobLock& operator=(const JobLock&) = delete;

  private:
    int file_;
};

class ReindexCommand {
  public:
    ReindexCommand(const CommonOptions& common, const ReindexOptions& options)
        : common_(common), options_(options), workspace_(common) {}

    int run() {
        check_places();
        if (!options_.pipeline.empty() && options_.pipeline != "_none") {
            loaded_ = workspace_.load_pipeline(options_.pipeline);
        }
        identify();
        make_folder_of(checkpoint_path_);
        JobLock lock(checkpoint_path_);
        job::CheckpointFile file(checkpoint_path_);
        std::optional<job::Checkpoint> checkpoint = options_.resume ? file.load() : std::nullopt;
        job::ReindexParts job_parts = parts(file);
        if (!checkpoint) start_anew(file, *job_parts.sink);
        workspace_.start_used_deployments();
        job::Reindex reindex(workspace_.runtime(), settings(), std::move(job_parts));
        if (checkpoint) {
            reindex.resume(*checkpoint);
            if (!options_.quiet && !common_.json) {
                std::fprintf(stderr, "resuming after %s documents\n",
                             group_digits(checkpoint->totals.read).c_str());
            }
        }
        return conclude(follow(reindex));
    }

  private:
    /// Which job this is: what decides where documents come from, what becomes of them and where
    /// they go.
    void identify() {
        fingerprint_ = options_.source + '\n' + options_.dest + '\n' + loaded_.fingerprint + '\n' +
                       options_.format + '\n' + options_.id_field + '\n' + options_.op_type + '\n' +
                       options_.version_type + '\n' + options_.slices;
        // Vectors of two models must not meet in one index.
        for (const std::string& id : workspace_.deployment_directory()->used()) {
            const auto& declared = workspace_.configuration().deployments;
            if (auto found = declared.find(id); found != declared.end())
                fingerprint_ += '\n' + id + '=' + found->second.model_id;
        }
        std::string name = hash(options_.source + '\n' + options_.dest + '\n' + options_.pipeline);
        fs::path data = workspace_.configuration().data_directory;
        checkpoint_path_ = options_.checkpoint.empty()
                               ? data / "tasks" / ("reindex-" + name + ".json")
                               : fs::path(options_.checkpoint);
        dead_letter_path_ = options_.dead_letter.empty()
                                ? data / "dead_letter" / ("reindex-" + name + ".dead-letter.ndjson")
                                : fs::path(options_.dead_letter);
    }

    /// Reading what is being written would not end, or would destroy the source.
    void check_places() const {
        if (options_.resume && options_.source == "-") {
            throw Error(
                "standard input cannot be read again, so there is nothing to resume: write it to a "
                "file first");
        }
        if (options_.resume && is_remote(options_.source)) {
            throw Error(
                "a remote cluster cannot be read on from where an earlier run was: start again, "
                "and "
                "with --op-type create --conflicts proceed only what is missing is written");
        }
        if (is_remote(options_.source) && options_.slices != "1" && options_.slices != "auto")
            throw Error("a remote cluster is read in one slice, found --slices " + options_.slices);
        if (options_.source == options_.dest && options_.source != "-") {
            throw Error("source and destination are the same: " + options_.source);
        }
        if (!options_.dest.starts_with("index:") && options_.dest != "-" &&
            is_source(options_.dest)) {
            throw Error("the destination " + options_.dest + " lies in the source " +
                        options_.source);
        }
        if (!options_.dead_letter.empty() && is_source(options_.dead_letter)) {
            throw Error("the dead letter " + options_.dead_letter + " lies in the source " +
                        options_.source + ": name another one");
        }
    }

    /// Whether the source can be read on from a place in it.
    bool is_resumable() const { return options_.source != "-" && !is_remote(options_.source); }

    /// Whether `file` is, or would be once it is made, a file that the source means.
    bool is_source(const fs::path& file) const {
        if (options_.source == "-" || options_.source.starts_with("index:") ||
            is_remote(options_.source))
            return false;
        if (options_.source.empty() || file.empty()) return false;  // whoever opens it says so
        fs::path target = fs::weakly_canonical(fs::absolute(file));
        fs::path source = fs::weakly_canonical(fs::absolute(options_.source));
        if (fs::is_directory(source)) {
            return std::mismatch(source.begin(), source.end(), target.begin(), target.end())
                       .first == source.end();
        }
        return source == target || ::fnmatch(source.c_str(), target.c_str(), FNM_PATHNAME) == 0;
    }

    static void make_folder_of(const fs::path& file) {
        std::error_code error;
        if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
        if (error)
            throw Error("cannot make the folder " + file.parent_path().string() + ": " +
                        error.message());
    }

    /// Before the earlier run is forgotten: a destination that refuses leaves it as it is.
    void start_anew(const job::CheckpointFile& file, io::Sink& sink) {
        sink.checkpoint();
        note_unfinished(file);
        file.remove();
        keep_older_dead_letter();
    }

    void note_unfinished(const job::CheckpointFile& file) const {
        std::optional<job::Checkpoint> before;
        try {
            before = file.load();
        } catch (const Error&) {
            // Not readable: it is about to be replaced anyway.
        }
        if (before && !before->finished && !options_.quiet) {
            std::fprintf(stderr,
                         "starting from the beginning; an earlier run stopped after %s documents, "
                         "which --resume would continue\n",
                         group_digits(before->totals.read).c_str());
        }
    }

    /// Failures of another run may be the only copy of their documents: that file is put aside,
    /// never removed.
    void keep_older_dead_letter() const {
        std::error_code error;
        if (fs::file_size(dead_letter_path_, error) == 0 || error) return;
        constexpr std::string_view extension = ".dead-letter.ndjson";
        std::string name = dead_letter_path_.string();
        std::string end = name.ends_with(extension) ? std::string(extension)
                                                    : dead_letter_path_.extension().string();
        name.resize(name.size() - end.size());
        int number = 1;
        auto aside = [&] { return name + "." + std::to_string(number) + end; };
        while (fs::exists(aside()))
            ++number;
        fs::rename(dead_letter_path_, aside(), error);
        if (error)
            throw Error("cannot rename " + dead_letter_path_.string() + ": " + error.message());
        if (!options_.quiet)
            std::fprintf(stderr, "failed documents of an earlier run are kept in %s\n",
                         aside().c_str());
    }

    job::ReindexSettings settings() const {
        job::ReindexSettings settings;
        settings.batch.index = options_.dest.starts_with("index:") ? options_.dest.substr(6) : "";
        settings.batch.id_field = options_.id_field;
        settings.batch.op = options_.op_type == "create" ? io::WriteOp::create : io::WriteOp::index;
        settings.batch.version_type =
            options_.version_type == "external"       ? io::VersionType::external
            : options_.version_type == "external_gte" ? io::VersionType::external_gte
                                                      : io::VersionType::internal;
        settings.size = options_.size;
        // A pipeline that waits for a model gets smaller batches: more of them overlap, and less is
        // done again after a crash.
        settings.batch_bytes =
            loaded_.pipeline && loaded_.pipeline->waits ? 64 * 1024 : 1024 * 1024;
        settings.max_docs = options_.max_docs;
        settings.conflicts =
            options_.conflicts == "proceed" ? job::Conflicts::proceed : job::Conflicts::abort;
        settings.requests_per_second = options_.requests_per_second;
        settings.fingerprint = hash(fingerprint_);
        settings.description = "reindex from [" + options_.source + "] to [" + options_.dest + "]";
        return settings;
    }

    job::ReindexParts parts(const job::CheckpointFile& file) {
        io::SourceOptions source;
        source.location = options_.source;
        if (!options_.format.empty()) source.format = io::format_from_name(options_.format);
        bool uses_index =
            options_.source.starts_with("index:") || options_.dest.starts_with("index:");
        if (uses_index) source.store = workspace_.indices();
        job::ReindexParts parts;
        parts.pipelines = loaded_.set;
        parts.pipeline = loaded_.pipeline;
        std::size_t slices = slice_count();
        if (is_remote(options_.source)) {
            io::RemoteOptions remote =
                remote_options(options_.source, options_.remote_api_key_file);
            remote.size = options_.size;
            parts.sources.push_back(io::open_remote(std::move(remote)));
            parts.reading = workspace_.runtime().network();
        } else if (slices == 1) {
            parts.sources.push_back(io::open_source(source));
        } else {
            parts.sources = io::open_slices(source, slices);
        }
        io::SinkOptions sink;
        sink.location = options_.dest;
        sink.overwrite = options_.overwrite;
        if (uses_index) sink.store = workspace_.indices();
        parts.sink = io::open_sink(sink);
        make_folder_of(dead_letter_path_);
        parts.dead_letter = std::make_unique<io::DeadLetter>(dead_letter_path_.string());
        if (is_resumable()) parts.checkpoint = file;
        return parts;
    }

    std::size_t slice_count() {
        if (options_.slices == "auto")
            return !is_resumable() ? 1
                                   : static_cast<std::size_t>(workspace_.runtime().cpu_threads());
        return std::stoul(options_.slices);
    }

    job::ReindexStatus follow(job::Reindex& reindex) {
        Interrupt interrupt(workspace_.runtime(), [&](int count) {
            if (count == 1) {
                std::fprintf(stderr, "\nfinishing what is in flight; Ctrl-C again stops now\n");
                reindex.cancel();
            } else {
                reindex.cancel_now();
            }
        });
        std::optional<Clock::time_point> told_to_stop;
        DeploymentStatsFile stats(workspace_);
        ProgressLine progress(options_.quiet || common_.json);
        auto done = boost::asio::co_spawn(workspace_.runtime().cpu(), reindex.run(),
                                          boost::asio::use_future);
        while (done.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
            progress.update(reindex.status());
            stats.update();
            if (interrupt.count() < 2) continue;
            // What does not hear, such as a device that does not answer, must not hold the user up.
            // The checkpoint is good at any moment.
            if (!told_to_stop) told_to_stop = Clock::now();
            if (Clock::now() - *told_to_stop > patience) ::_exit(exit_interrupted);
        }
        job::ReindexStatus status = done.get();
        progress.finish(status);
        stats.write();
        return status;
    }

    int conclude(const job::ReindexStatus& status) {
        if (common_.json) {
            print_json(status);
        } else if (!options_.quiet) {
            print_summary(status);
        }
        if (options_.stats && !common_.json && loaded_.set)
            std::fprintf(stderr, "%s", pipeline_stats_text(*loaded_.set).c_str());
        if (status.state == job::ReindexState::failed) {
            std::fprintf(stderr, "penstock: %s\n", status.error.c_str());
            if (is_resumable())
                std::fprintf(stderr, "the same command with --resume goes on from there\n");
            return exit_error;
        }
        if (status.state == job::ReindexState::cancelled) {
            if (is_resumable())
                std::fprintf(stderr,
                             "stopped; the same command with --resume goes on from there\n");
            return exit_interrupted;
        }
        return status.totals.failed > 0 || status.totals.source_incomplete ? exit_documents_failed
                                                                           : exit_ok;
    }

    void print_summary(const job::ReindexStatus& status) const {
        const job::Totals& totals = status.totals;
        std::string line =
            group_digits(totals.created) + " created, " + group_digits(totals.updated) + " updated";
        auto add = [&](std::uint64_t count, const char* what) {
            if (count > 0) line += ", " + group_digits(count) + " " + what;
        };
        add(totals.noops, "there already");
        add(totals.dropped, "dropped");
        add(totals.version_conflicts, "in conflict");
        add(totals.failed, "failed");
        std::fprintf(stderr, "%s\n", line.c_str());
        for (const job::FailureNote& failure : status.failures) {
            std::fprintf(stderr, "  %s: %s\n", failure.location.c_str(), failure.message.c_str());
        }
        if (totals.failed > 0) {
            if (totals.failed > status.failures.size()) std::fprintf(stderr, "  ...\n");
            std::fprintf(stderr, "failed documents, with reasons: %s\n",
                         dead_letter_path_.string().c_str());
        }
        if (totals.source_incomplete)
            std::fprintf(stderr, "a part of the source could not be read\n");
    }

    /// Elasticsearch's reindex response, and after it what it does not have.
    void print_json(const job::ReindexStatus& status) const {
        const job::Totals& totals = status.totals;
        std::string out = "{";
        auto number = [&](const char* name, std::uint64_t value) {
            out +=
                (out.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":" + std::to_string(value);
        };
        auto milliseconds = [](std::chrono::nanoseconds time) {
            return static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
        };
        number("took", milliseconds(status.took));
        out += ",\"timed_out\":false";
        number("total", totals.read);
        number("updated", totals.updated);
        number("created", totals.created);
        number("deleted", totals.deleted);
        number("batches", totals.batches);
        number("version_conflicts", totals.version_conflicts);
        number("noops", totals.noops);
        out +=
            ",\"retries\":{\"bulk\":0,\"search\":" + std::to_string(status.progress.retries) + '}';
        number("throttled_millis", milliseconds(status.throttled));
        out += ",\"requests_per_second\":";
        document::append_double(status.requests_per_second, out);
        number("throttled_until_millis", 0);
        out += ",\"failures\":[";
        for (std::size_t i = 0; i < status.failures.size(); ++i) {
            if (i > 0) out += ',';
            print_failure(status.failures[i], out);
        }
        out += ']';
        number("dropped", totals.dropped);
        number("dead_letter_count", totals.failed);
        out += ",\"dead_letter\":";
        document::write_json_string(totals.failed > 0 ? dead_letter_path_.string() : "", out);
        out += std::string(",\"canceled\":") +
               (status.state == job::ReindexState::cancelled ? "\"by user request\"" : "null") +
               ",\"source_incomplete\":" + (totals.source_incomplete ? "true" : "false") +
               ",\"resumed\":" + (status.resumed ? "true" : "false");
        if (options_.stats && loaded_.set)
            out += ",\"ingest\":{\"pipelines\":" + pipeline_stats_json(*loaded_.set) + '}';
        out += "}\n";
        std::fwrite(out.data(), 1, out.size(), stdout);
    }

    static void print_failure(const job::FailureNote& failure, std::string& out) {
        auto text = [&](const char* before, const std::string& value) {
            out += before;
            document::write_json_string(value, out);
        };
        text("{\"index\":", failure.index);
        text(",\"id\":", failure.id);
        text(",\"cause\":{\"type\":", failure.type);
        text(",\"reason\":", failure.message);
        out += "},\"status\":" + std::to_string(failure.status);
        text(",\"location\":", failure.location);
        out += '}';
    }

    const CommonOptions& common_;
    const ReindexOptions& options_;
    Workspace workspace_;
    LoadedPipeline loaded_;
    std::string fingerprint_;
    fs::path checkpoint_path_;
    fs::path dead_letter_path_;
};

}  // namespace

void add_reindex(CommandLine& line) {
    auto options = std::make_shared<ReindexOptions>();
    CLI::App* command = line.add(
        line.app, "reindex", "Run a corpus through a pipeline into an index or a file; resumable",
        "  penstock reindex --source speeches.ndjson --dest index:speeches --pipeline embed\n"
        "  penstock reindex --source 'logs/*.ndjson.gz' --dest index:logs --pipeline logs --slices "
        "auto --resume\n"
        "  penstock reindex --source index:old --dest index:new --pipeline fix "
        "--requests-per-second 500\n"
        "  penstock reindex --source https://search.example:9200/books --dest index:books\n"
        "  penstock reindex --source failed.dead-letter.ndjson --dest index:logs --pipeline logs");
    command
        ->add_option("--source", options->source,
                     "File, directory or glob (NDJSON, JSON, CSV, TSV; gzip, zstd), - for standard "
                     "input, index:NAME, or http[s]://HOST:PORT/INDEX of another cluster")
        ->required();
    command
        ->add_option("--dest", options->dest,
                     "index:NAME, an NDJSON file, or - for standard output")
        ->required();
    command
        ->add_option("--pipeline", options->pipeline,
                     "A definition file, or an id in the pipeline directories; _none for none")
        ->type_name("PIPELINE");
    command
        ->add_option("--id-field", options->id_field,
                     "Field that gives _id; else the document's _id, else one made from its place "
                     "in the source")
        ->type_name("FIELD")
        ->check([](const std::string& text) -> std::string {
            return document::FieldPath::parse(text) ? "" : "[" + text + "] is not a field's name";
        });
    command->add_option("--format", options->format, "Format of the source, else by its extension")
        ->check(CLI::IsMember({"ndjson", "jsonl", "json", "csv", "tsv", "dead_letter"}));
    command
        ->add_option("--op-type,--op_type", options->op_type,
                     "create: only documents that are not there")
        ->check(CLI::IsMember({"index", "create"}))
        ->capture_default_str();
    command
        ->add_option("--version-type,--version_type", options->version_type,
                     "Versioning of the destination")
        ->check(CLI::IsMember({"internal", "external", "external_gte"}))
        ->capture_default_str();
    command
        ->add_option("--conflicts", options->conflicts,
                     "On a version conflict: abort, or count it and proceed")
        ->check(CLI::IsMember({"abort", "proceed"}))
        ->capture_default_str();
    command->add_option("--size", options->size, "Documents in a batch, at most")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    command
        ->add_option("--max-docs,--max_docs", options->max_docs,
                     "Stop after so many documents of the source")
        ->check(CLI::NonNegativeNumber);
    command
        ->add_option("--slices", options->slices,
                     "Divide the source into so many parts that are read at once, or auto")
        ->check([](const std::string& text) -> std::string {
            if (text == "auto") return "";
            bool number = !text.empty() && text.size() <= 4 &&
                          text.find_first_not_of("0123456789") == std::string::npos;
            return number && std::stoul(text) >= 1 && std::stoul(text) <= 1024
                       ? ""
                       : "must be auto or 1 to 1024";
        })
        ->capture_default_str();
    command
        ->add_option("--requests-per-second,--requests_per_second", options->requests_per_second,
                     "Documents a second over all slices; -1 for no limit")
        ->check([](const std::string& text) -> std::string {
            char* end = nullptr;
            double value = std::strtod(text.c_str(), &end);
            return *end == 0 && (value == -1 || value > 0) ? ""
                                                           : "must be positive, or -1 for no limit";
        })
        ->capture_default_str();
    command->add_flag("--resume", options->resume,
                      "Go on where the same command was stopped or killed");
    command->add_flag("--overwrite", options->overwrite,
                      "Replace a destination file that has content");
    command
        ->add_option("--dead-letter", options->dead_letter,
                     "File for failed documents; else one in the data directory")
        ->type_name("FILE");
    command
        ->add_option("--checkpoint", options->checkpoint,
                     "File that remembers how far the job is; else one in the data directory")
        ->type_name("FILE");
    command
        ->add_option("--remote-api-key-file", options->remote_api_key_file,
                     "File with the API key for another cluster; a user's name and password come "
                     "from PENSTOCK_REMOTE_USER and PENSTOCK_REMOTE_PASSWORD in the environment")
        ->type_name("FILE");
    command->add_flag("--quiet", options->quiet, "No progress, no summary");
    command->add_flag("--stats", options->stats,
                      "Afterwards: count, time and failures of every processor of this run");
    command->callback([&line, options] {
        line.action = [&line, options] { return ReindexCommand(line.common, *options).run(); };
    });
}

}  // namespace penstock::tools
