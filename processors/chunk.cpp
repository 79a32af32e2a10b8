#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>

#include "engine/text/chunk.h"
#include "processors/builtin.h"
#include "processors/deployment_directory.h"

namespace penstock::processors {
namespace {

using document::Array;
using document::Document;
using document::Object;
using document::Outcome;
using document::Value;

class Chunk final : public pipeline::Processor {
  public:
    struct Settings {
        document::FieldPath field;
        document::FieldPath target;
        text::ChunkSettings chunks;
        std::string deployment;  // whose tokenizer and limit hold; empty: none
        bool ignore_missing = false;
        bool objects = true;
    };

    Chunk(Settings settings, DeploymentDirectoryPtr directory)
        : settings_(std::move(settings)), directory_(std::move(directory)) {
        if (settings_.deployment.empty()) {
            owned_ = text::Chunker::make(settings_.chunks);
            chunker_ = owned_.get();
        }
    }

    Outcome run(Document& document) const override {
        const Value* found = document.find(settings_.field);
        if (found == nullptr || found->is_null()) {
            if (settings_.ignore_missing) return Outcome::ok();
            if (found == nullptr) return document.get(settings_.field).error();
            return document::failure("field [" + settings_.field.text() +
                                     "] is null, cannot chunk it");
        }
        const text::Chunker* chunker = chunker_.load(std::memory_order_acquire);
        if (chunker == nullptr) {
            auto made = make_chunker();
            if (!made) return made.error();
            chunker = *made;
        }
        auto* list = document.arena().make<Array>();
        if (found->is_string()) {
            Outcome outcome = cut(*chunker, found->as_string(), -1, document, *list);
            if (!outcome.is_ok()) return outcome;
        } else if (found->is_array()) {
            for (std::size_t i = 0; i < found->as_array().size(); ++i) {
                const Value& element = found->as_array()[i];
                if (!element.is_string()) return not_text(element);
                Outcome outcome = cut(*chunker, element.as_string(), static_cast<std::int64_t>(i),
                                      document, *list);
                if (!outcome.is_ok()) return outcome;
            }
        } else {
            return not_text(*found);
        }
        return document.set(settings_.target, Value::array(list));
    }

  private:
    document::Failure not_text(const Value& value) const {
        return document::failure("field [" + settings_.field.text() + "] of type [" +
                                 std::string(document::java_type_name(value)) +
                                 "] cannot be chunked: a string or a list of strings is expected");
    }

    /// The deployment is running only when documents do: its tokenizer is taken at the first one.
    document::Result<const text::Chunker*> make_chunker() const {
        std::lock_guard lock(mutex_);
        if (owned_) return owned_.get();
        auto deployment = directory_->find(settings_.deployment);
        if (!deployment || !deployment->tokenizer()) {
            return document::failure(directory_->why_missing(settings_.deployment),
                                     document::FailureType::resource_not_found);
        }
        text::ChunkSettings chunks = settings_.chunks;
        chunks.tokenizer = deployment->tokenizer();
        chunks.max_tokens =
            deployment->max_tokens() - deployment->prefix_tokens(inference::PrefixKind::ingest);
        owned_ = text::Chunker::make(std::move(chunks));
        chunker_.store(owned_.get(), std::memory_order_release);
        return owned_.get();
    }

    Outcome cut(const text::Chunker& chunker, std::string_view text, std::int64_t source,
                Document& document, Array& list) const {
        std::vector<text::Chunk> chunks;
        if (auto problem = chunker.chunk(text, chunks)) {
            return document::failure("field [" + settings_.field.text() +
                                     "] cannot be chunked: " + *problem);
        }
        document::Arena& arena = document.arena();
        for (const text::Chunk& chunk : chunks) {
            // The text is a part of the field's own, which lives as long as the document: not
            // copied.
            Value piece = Value::string(text.substr(chunk.begin, chunk.end - chunk.begin));
            list.push_back(settings_.objects ? describe(chunk, piece, source, arena) : piece,
                           arena);
        }
        return Outcome::ok();
    }

    static Value describe(const text::Chunk& chunk, Value piece, std::int64_t source,
                          document::Arena& arena) {
        auto* object = arena.make<Object>();
        object->reserve(6, arena);
        auto number = [](std::size_t value) {
            return Value::integer(static_cast<std::int64_t>(value));
        };
        object->set("text", piece, arena);
        object->set("start_offset", number(chunk.begin_code_point), arena);
        object->set("end_offset", number(chunk.end_code_point), arena);
        object->set("start_byte", number(chunk.begin), arena);
        object->set("end_byte", number(chunk.end), arena);
        if (source >= 0) object->set("source_index", Value::integer(source), arena);
        return Value::object(object);
    }

    Settings settings_;
    DeploymentDirectoryPtr directory_;
    mutable std::mutex mutex_;  // guards owned_
    mutable std::unique_ptr<const text::Chunker> owned_;
    mutable std::atomic<const text::Chunker*> chunker_{nullptr};
};

text::ChunkSettings chunk_settings(const pipeline::Config& config) {
    text::ChunkSettings settings;
    settings.strategy = *text::chunk_strategy(config.string("strategy"));
    settings.max_chunk_size = config.integer("max_chunk_size");
    settings.overlap = config.has("overlap")
                           ? config.integer("overlap")
                           : std::min<std::int64_t>(100, settings.max_chunk_size / 2);
    settings.sentence_overlap = config.integer("sentence_overlap");
    settings.separator_group = config.string("separator_group") == "markdown"
                                   ? text::SeparatorGroup::markdown
                                   : text::SeparatorGroup::plaintext;
    settings.separators = config.strings("separators");
    settings.token_limit = config.integer("token_limit");
    const std::string& words = config.string("tokenizer");
    settings.word_tokenizer = words == "letter"       ? text::WordTokenizer::letter
                              : words == "whitespace" ? text::WordTokenizer::whitespace
                                                      : text::WordTokenizer::standard;
    settings.overlap_rate = config.number("overlap_rate");
    settings.delimiter = config.string("delimiter");
    settings.char_limit = config.integer("char_limit");
    if (config.has("max_chunk_limit")) settings.max_chunk_limit = config.integer("max_chunk_limit");
    const std::string& on_limit = config.string("on_limit");
    settings.on_limit = on_limit == "merge"  ? text::OnChunkLimit::merge
                        : on_limit == "drop" ? text::OnChunkLimit::drop
                                             : text::OnChunkLimit::error;
    return settings;
}

/// Each message of the check begins with the name of its option.
void report(const pipeline::Config& config, const std::vector<std::string>& problems) {
    for (const std::string& problem : problems) {
        std::string option = problem.substr(0, problem.find_first_of(" ["));
        bool known = std::all_of(option.begin(), option.end(),
                                 [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); });
        config.error(known && config.has(option) ? option : "", problem);
    }
}

}  // namespace

pipeline::ProcessorSpec chunk(DeploymentDirectoryPtr directory) {
    using pipeline::OptionType;
    return {
        .name = "chunk",
        .summary = "Cuts a text into pieces that a model can take.",
        .description =
            "The strategies `none`, `word`, `sentence` and `recursive` and their defaults are "
            "those of Elasticsearch's "
            "chunking settings, `fixed_token_length`, `delimiter` and `fixed_char_length` those of "
            "OpenSearch's "
            "`text_chunking`. Words and sentences are those of Unicode's UAX #29.\n\n"
            "With `model_id`, tokens are counted by that deployment's own tokenizer, special "
            "tokens and prefix "
            "included, and no chunk of any strategy is longer than its model takes.\n\n"
            "Each chunk is an object `{text, start_offset, end_offset, start_byte, end_byte}`: "
            "offsets count code "
            "points, bytes count UTF-8 bytes, both in the whole text. Without overlap the chunks, "
            "put together, are "
            "the text. Chunks of a list of strings also have a `source_index`.",
        .options =
            {
                pipeline::field_option("The text, or a list of texts."),
                {.name = "target_field",
                 .type = OptionType::field,
                 .doc = "Gets the list of chunks; replaced when it is there.",
                 .default_value = "chunks"},
                {.name = "strategy",
                 .type = OptionType::enumeration,
                 .doc = "How to cut.",
                 .default_value = "sentence",
                 .values = {"none", "word", "sentence", "recursive", "fixed_token_length",
                            "delimiter", "fixed_char_length"}},
                {.name = "model_id",
                 .doc = "The deployment whose tokenizer counts and whose model limits the chunks."},
                {.name = "max_chunk_size",
                 .type = OptionType::integer,
                 .doc = "Words in a chunk (`word`, `sentence`, `recursive`); at least 10, for "
                        "`sentence` 20.",
                 .default_value = "250"},
                {.name = "overlap",
                 .type = OptionType::integer,
                 .doc = "Words that a chunk repeats of the one before (`word`); at most half of "
                        "`max_chunk_size`. "
                        "Default: 100, or that half where it is less.",
                 .minimum = 0},
                {.name = "sentence_overlap",
                 .type = OptionType::integer,
                 .doc = "Sentences that a chunk repeats of the one before (`sentence`): 0 or 1.",
                 .default_value = "1",
                 .minimum = 0,
                 .maximum = 1},
                {.name = "separator_group",
                 .type = OptionType::enumeration,
                 .doc = "Ready-made separators (`recursive`).",
                 .default_value = "plaintext",
                 .values = {"plaintext", "markdown"}},
                {.name = "separators",
                 .type = OptionType::strings,
                 .doc = "Regular expressions to cut at, tried in order (`recursive`); instead of "
                        "`separator_group`."},
                {.name = "token_limit",
                 .type = OptionType::integer,
                 .doc = "Tokens in a chunk (`fixed_token_length`), special tokens included.",
                 .default_value = "384",
                 .minimum = 1},
                {.name = "tokenizer",
                 .type = OptionType::enumeration,
                 .doc = "What `fixed_token_length` counts when there is no `model_id`.",
                 .default_value = "standard",
                 .values = {"standard", "letter", "whitespace"}},
                {.name = "overlap_rate",
                 .type = OptionType::number,
                 .doc = "Part of the limit that a chunk repeats of the one before "
                        "(`fixed_token_length`, "
                        "`fixed_char_length`).",
                 .default_value = "0",
                 .minimum = 0,
                 .maximum = 0.5},
                {.name = "delimiter",
                 .doc = "Text behind which to cut (`delimiter`); it stays at the chunk's end.",
                 .default_value = "\"\\n\\n\""},
                {.name = "char_limit",
                 .type = OptionType::integer,
                 .doc = "Code points in a chunk (`fixed_char_length`).",
                 .default_value = "2048",
                 .minimum = 1},
                {.name = "max_chunk_limit",
                 .type = OptionType::integer,
                 .doc = "Most chunks of one text, -1 for no limit. Default: 100 for OpenSearch's "
                        "strategies, no limit "
                        "for Elasticsearch's.",
                 .minimum = -1},
                {.name = "on_limit",
                 .type = OptionType::enumeration,
                 .doc = "What to do with more chunks: fail, put the rest into the last chunk as "
                        "OpenSearch does, or "
                        "leave it out.",
                 .default_value = "error",
                 .values = {"error", "merge", "drop"}},
                {.name = "output_format",
                 .type = OptionType::enumeration,
                 .doc = "Chunks as objects with their offsets, or as bare strings.",
                 .default_value = "object",
                 .values = {"object", "text"}},
                pipeline::ignore_missing_option(),
            },
        .examples =
            {
                {.options = "{field: body, strategy: delimiter, output_format: text}",
                 .in = R"({"body":"One.\n\nTwo.\n\n"})",
                 .out = R"({"body":"One.\n\nTwo.\n\n","chunks":["One.\n\n","Two.\n\n"]})",
                 .title = "Paragraphs as strings"},
                {.options = "{field: body, strategy: fixed_char_length, char_limit: 3}",
                 .in = R"({"body":"äöüß"})",
                 .out =
                     R"({"body":"äöüß","chunks":[)"
                     R"({"text":"äöü","start_offset":0,"end_offset":3,"start_byte":0,"end_byte":6},)"
                     R"({"text":"ß","start_offset":3,"end_offset":4,"start_byte":6,"end_byte":8}]})",
                 .title = "Offsets in code points and in bytes"},
            },
        .compile = [directory](const pipeline::Config& config) -> pipeline::StepBody {
            Chunk::Settings settings;
            settings.field = config.path("field");
            settings.target = config.path("target_field");
            settings.chunks = chunk_settings(config);
            settings.deployment = config.string("model_id");
            settings.ignore_missing = config.flag("ignore_missing");
            settings.objects = config.string("output_format") == "object";
            if (!settings.deployment.empty())
                check_deployment(config, *directory, "model_id", settings.deployment);
            auto problems = text::check_chunk_settings(settings.chunks);
            report(config, problems);
            if (!problems.empty()) return pipeline::ProcessorPtr();
            return std::make_unique<Chunk>(std::move(settings), directory);
        },
    };
}

}  // namespace penstock::processors
