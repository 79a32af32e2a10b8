#include "tests/unit/pipeline/trial.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <sstream>
#include <stdexcept>

#include "engine/document/json.h"
#include "engine/pipeline/definition.h"

namespace penstock::pipeline::test {

using boost::asio::awaitable;
using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;

namespace {

using Work = std::function<Outcome(Document&)>;

class Now final : public Processor {
  public:
    explicit Now(Work work) : work_(std::move(work)) {}
    Outcome run(Document& document) const override { return work_(document); }

  private:
    Work work_;
};

class Later final : public AsyncProcessor {
  public:
    Later(std::string type, Work work, Gathered* gathered)
        : type_(std::move(type)), work_(std::move(work)), gathered_(gathered) {}

    awaitable<void> run(std::span<AsyncItem> items) const override {
        if (gathered_ != nullptr) gathered_->emplace_back(type_, items.size());
        co_await boost::asio::post(co_await boost::asio::this_coro::executor,
                                   boost::asio::use_awaitable);
        for (AsyncItem& item : items)
            item.outcome = work_(*item.document);
    }

  private:
    std::string type_;
    Work work_;
    Gathered* gathered_;
};

FieldPath path(std::string_view text) {
    return *FieldPath::parse(text);
}

std::string render(const script::Template& text, Document& document) {
    std::string out;
    text.render(document, out);
    return out;
}

void touch(Document& document) {
    (void)document.set(path("half.done"), Value::boolean(true));
    (void)document.append(path("log"), Value::string("half"));
    (void)document.remove(path("keep"));
    (void)document.set(path("_ingest.half"), Value::integer(1));
}

using Maker = std::function<Work(const Config&)>;

std::vector<std::pair<ProcessorSpec, Maker>> works() {
    std::vector<std::pair<ProcessorSpec, Maker>> all;
    all.push_back({{.name = "note",
                    .options = {{.name = "text", .required = true, .templated = true},
                                {.name = "to", .type = OptionType::field, .default_value = "log"}}},
                   [](const Config& config) -> Work {
                       auto text = std::make_shared<script::Template>(config.text("text"));
                       return [text, to = config.path("to")](Document& document) {
                           Value value = Value::string(render(*text, document), document.arena());
                           return document.append(to, value);
                       };
                   }});
    all.push_back({{.name = "put",
                    .options = {field_option("", true),
                                {.name = "value", .type = OptionType::any, .templated = true}}},
                   [](const Config& config) -> Work {
                       auto field = std::make_shared<script::FieldTemplate>(config.field("field"));
                       auto value = std::make_shared<script::ValueTemplate>(config.value("value"));
                       return [field, value](Document& document) -> Outcome {
                           FieldPath scratch;
                           auto to = field->resolve(document, scratch);
                           if (!to) return to.error();
                           return document.set(**to, value->resolve(document));
                       };
                   }});
    all.push_back(
        {{.name = "take", .options = {field_option("")}}, [](const Config& config) -> Work {
             return [field = config.path("field")](Document& document) {
                 return document.remove(field);
             };
         }});
    all.push_back({{.name = "move",
                    .options = {{.name = "from", .type = OptionType::field},
                                {.name = "to", .type = OptionType::field}}},
                   [](const Config& config) -> Work {
                       return [from = config.path("from"), to = config.path("to")](
                                  Document& document) { return document.move(from, to); };
                   }});
    ProcessorSpec message{
        .options = {{.name = "message", .default_value = "half", .templated = true}}};
    ProcessorSpec fail = message;
    fail.name = "fail";
    all.push_back({fail, [](const Config& config) -> Work {
                       auto text = std::make_shared<script::Template>(config.text("message"));
                       return [text](Document& document) -> Outcome {
                           return document::failure(render(*text, document),
                                                    document::FailureType::fail_processor);
                       };
                   }});
    all.push_back(
        {{.name = "fail_if", .options = {field_option("")}}, [](const Config& config) -> Work {
             return [field = config.path("field")](Document& document) -> Outcome {
                 if (!document.has(field)) return Outcome::ok();
                 return document::failure("[" + field.text() + "] is there");
             };
         }});
    all.push_back({{.name = "drop"}, [](const Config&) -> Work {
                       return [](Document&) { return Outcome::drop(); };
                   }});
    all.push_back(
        {{.name = "drop_if", .options = {field_option("")}}, [](const Config& config) -> Work {
             return [field = config.path("field")](Document& document) {
                 return document.has(field) ? Outcome::drop() : Outcome::ok();
             };
         }});
    for (bool keeps : {false, true}) {
        ProcessorSpec half = message;
        half.name = keeps ? "half_kept" : "half";
        half.keeps_partial_changes = keeps;
        all.push_back({half, [](const Config& config) -> Work {
                           return [why = config.string("message")](Document& document) -> Outcome {
                               touch(document);
                               return document::failure(why);
                           };
                       }});
    }
    all.push_back({{.name = "throws", .options = {string_option("what", "")}},
                   [](const Config& config) -> Work {
                       return [what = config.string("what")](Document& document) -> Outcome {
                           touch(document);
                           if (what == "int") throw 42;
                           throw std::runtime_error(what);
                       };
                   }});
    all.push_back({{.name = "wait"},
                   [](const Config&) -> Work { return [](Document&) { return Outcome::ok(); }; }});
    return all;
}

}  // namespace

Catalog trial_catalog(const TrialOptions& options) {
    Catalog catalog;
    for (auto& [spec, maker] : works()) {
        const std::string& name = spec.name;
        bool waits =
            name == "wait" || options.waiting.contains(name) || options.waiting.contains("*");
        Gathered* gathered = options.gathered;
        spec.compile = [waits, name, make = maker, gathered](const Config& config) -> StepBody {
            if (waits) return AsyncProcessorPtr(new Later(name, make(config), gathered));
            return std::make_unique<Now>(make(config));
        };
        catalog.add(spec);
    }
    catalog.add(
        {.name = "pipeline",
         .options = {{.name = "name", .required = true, .templated = true},
                     flag_option("ignore_missing_pipeline", "", false)},
         .compile = [](const Config& config) -> StepBody {
             return PipelineCall{config.text("name"), config.flag("ignore_missing_pipeline")};
         }});
    catalog.add({.name = "foreach",
                 .options = {field_option(""),
                             {.name = "processor", .type = OptionType::processor, .required = true},
                             ignore_missing_option()},
                 .compile = [](const Config& config) -> StepBody {
                     return ForeachElement{config.path("field"), config.flag("ignore_missing"),
                                           config.nested("processor")};
                 }});
    return catalog;
}

std::vector<PipelineDefinition> definitions(std::string_view text, Diagnostics& diagnostics) {
    std::vector<std::pair<std::string, std::string>> parts;
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("--- ")) {
            parts.emplace_back(line.substr(4), "");
        } else if (!parts.empty()) {
            parts.back().second += line + "\n";
        }
    }
    std::vector<PipelineDefinition> all;
    for (const auto& [id, content] : parts) {
        auto definition = parse_definition(content, id + ".yml", id, diagnostics);
        if (definition) all.push_back(std::move(*definition));
    }
    return all;
}

std::shared_ptr<const PipelineSet> compile(std::string_view text, const Catalog& catalog,
                                           const CompileOptions& options) {
    Diagnostics diagnostics;
    auto all = definitions(text, diagnostics);
    auto set = PipelineSet::compile(std::move(all), catalog, diagnostics, options);
    if (!set) ADD_FAILURE() << diagnostics.text() << "\nin:\n" << text;
    return set;
}

std::string complaints(std::string_view text, const CompileOptions& options) {
    Diagnostics diagnostics;
    auto all = definitions(text, diagnostics);
    auto set = PipelineSet::compile(std::move(all), trial_catalog(), diagnostics, options);
    EXPECT_EQ(set == nullptr, diagnostics.has_errors());
    return diagnostics.text();
}

struct TrialBatch::Impl {
    document::Arena arena;
    document::JsonParser parser;
    std::deque<Document> documents;
    std::vector<Document*> pointers;
    std::vector<ExecutionResult> results;
};

TrialBatch::TrialBatch(const std::vector<std::string>& sources) : impl_(std::make_unique<Impl>()) {
    for (const std::string& source : sources) {
        Document& document = impl_->documents.emplace_back(impl_->arena);
        document.slot = static_cast<std::uint32_t>(impl_->pointers.size());
        Value value;
        document::JsonError error;
        if (!impl_->parser.parse(source, impl_->arena, value, error))
            ADD_FAILURE() << error.text() << ": " << source;
        document.set_source(value);
        document.commit();
        impl_->pointers.push_back(&document);
    }
}
TrialBatch::~TrialBatch() = default;
TrialBatch::TrialBatch(TrialBatch&&) noexcept = default;
TrialBatch& TrialBatch::operator=(TrialBatch&&) noexcept = default;

std::span<Document*> TrialBatch::documents() {
    return impl_->pointers;
}
Document& TrialBatch::operator[](std::size_t i) {
    return *impl_->pointers[i];
}
std::vector<ExecutionResult>& TrialBatch::results() {
    return impl_->results;
}

std::vector<std::string> TrialBatch::texts() {
    std::vector<std::string> all;
    EXPECT_EQ(impl_->results.size(), impl_->pointers.size());
    for (std::size_t i = 0; i < impl_->results.size(); ++i) {
        const ExecutionResult& result = impl_->results[i];
        const document::Failure& why = result.failure;
        std::string source;
        document::write_json(impl_->pointers[i]->source(), source);
        std::string& text = all.emplace_back();
        switch (result.fate) {
            case Fate::done:
                text = source;
                break;
            case Fate::dropped:
                text = "dropped";
                break;
            case Fate::failed:
                text = "failed in " + why.pipeline + "/" + why.processor_type +
                       (why.processor_tag.empty() ? "" : ":" + why.processor_tag) + ": " +
                       why.reason + ", left " + source;
                break;
            case Fate::running:
                text = "lost";
        }
        std::string ingest;
        document::write_json(impl_->pointers[i]->ingest(), ingest);
        if (ingest != "{\"timestamp\":\"" + std::string(trial_time) + "\"}")
            text += " with _ingest " + ingest;
    }
    return all;
}

std::vector<std::string> run(const std::shared_ptr<const PipelineSet>& set, std::string_view id,
                             const std::vector<std::string>& sources, StepObserver* observer) {
    TrialBatch batch(sources);
    Executor executor(set, *set->find(id), observer);
    executor.set_timestamp(std::string(trial_time));
    boost::asio::io_context context(1);
    boost::asio::co_spawn(context, executor.run(batch.documents(), batch.results()),
                          [](const std::exception_ptr& exception) {
                              if (exception) std::rethrow_exception(exception);
                          });
    context.run();
    return batch.texts();
}

std::vector<std::string> run_sync(const std::shared_ptr<const PipelineSet>& set,
                                  std::string_view id, const std::vector<std::string>& sources,
                                  StepObserver* observer) {
    TrialBatch batch(sources);
    Executor executor(set, *set->find(id), observer);
    executor.set_timestamp(std::string(trial_time));
    executor.run_sync(batch.documents(), batch.results());
    return batch.texts();
}

std::string statistics(const PipelineSet& set) {
    std::string text;
    auto add = [&](const std::string& name, const auto& one) {
        text += name + ' ' + std::to_string(one.count) + '/' + std::to_string(one.failed);
        if (one.current != 0) text += " (current " + std::to_string(one.current) + ')';
    };
    for (const PipelineStatistics& pipeline : set.statistics()) {
        if (!text.empty()) text += "; ";
        add(pipeline.id, pipeline);
        std::string separator = " [";
        for (const StepStatistics& step : pipeline.processors) {
            if (step.type == "wait") continue;
            text += separator;
            add(step.key(), step);
            separator = ", ";
        }
        if (separator != " [") text += ']';
    }
    return text;
}

}  // namespace penstock::pipeline::test
