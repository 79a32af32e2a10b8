#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/date_reader.h"
#include "processors/value_cache.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Outcome;
using document::Value;
using script::Template;
using text::dates::DateDefaults;
using text::dates::DateFormat;
using text::dates::DateLocale;
using text::dates::Zone;
using text::dates::ZonedTime;

namespace {

/// The formats for one time zone and language.
struct Readers {
    Zone zone;
    std::vector<DateReader> readers;
    std::vector<std::string> problems;  ///< why formats, or all of them, can read nothing
};

/// What does not compile reads nothing: as in Elasticsearch the other formats are tried still.
Readers make_readers(const std::vector<std::string>& formats, const std::string* zone,
                     const std::string* locale) {
    Readers made;
    DateLocale language;
    try {
        if (zone != nullptr) made.zone = Zone::parse(*zone);
        if (locale != nullptr) language = DateLocale::parse(*locale);
    } catch (const Error& error) {
        made.problems.emplace_back(error.what());
        return made;
    }
    for (const std::string& format : formats) {
        try {
            made.readers.push_back(DateReader::compile(format, language));
        } catch (const Error& error) {
            made.problems.emplace_back(error.what());
        }
    }
    return made;
}

class Date final : public pipeline::Processor {
  public:
    Date(FieldPath field, FieldPath target, std::vector<std::string> formats, DateFormat output)
        : field_(std::move(field)),
          target_(std::move(target)),
          formats_(std::move(formats)),
          output_(std::move(output)) {}

    /// To be called once; what is not given has its default.
    void set_context(std::optional<Template> zone, std::optional<Template> locale) {
        zone_ = std::move(zone);
        locale_ = std::move(locale);
        const bool constant =
            (!zone_ || zone_->is_constant()) && (!locale_ || locale_->is_constant());
        if (constant) {
            readers_ = std::make_shared<const Readers>(make_readers(
                formats_, zone_ ? &zone_->text() : nullptr, locale_ ? &locale_->text() : nullptr));
        }
    }

    /// Why some of the formats read nothing, as far as that does not depend on the document.
    std::vector<std::string> problems() const {
        return readers_ ? readers_->problems : std::vector<std::string>();
    }

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found == nullptr) return document.get(field_).error();
        std::string scratch;
        const std::string_view text = date_text(*found, scratch);
        const auto readers = readers_ ? readers_ : readers_for(document);
        std::optional<ZonedTime> time;
        if (!found->is_null()) time = read(*readers, text, current_year(document));
        if (!time) return document::failure("unable to parse date [" + std::string(text) + "]");
        std::string printed;
        try {
            output_.print(*time, printed);
        } catch (const Error& error) {
            return document::failure(error.what());
        }
        return document.set(target_, Value::string(printed, document.arena()));
    }

  private:
    static std::optional<ZonedTime> read(const Readers& readers, std::string_view text,
                                         std::int64_t year) {
        const DateDefaults defaults{readers.zone, year};
        for (const DateReader& reader : readers.readers) {
            if (auto time = reader.read(text, defaults)) return time;
        }
        return std::nullopt;
    }

    std::shared_ptr<const Readers> readers_for(const Document& document) const {
        std::string key;
        if (zone_) zone_->render(document, key);
        const std::size_t split = key.size();
        key.push_back('\0');
        if (locale_) locale_->render(document, key);
        return cache_.get(key, [&] {
            const std::string zone = key.substr(0, split);
            const std::string locale = key.substr(split + 1);
            return std::make_shared<const Readers>(
                make_readers(formats_, zone_ ? &zone : nullptr, locale_ ? &locale : nullptr));
        });
    }

    FieldPath field_, target_;
    std::vector<std::string> formats_;
    DateFormat output_;
    std::optional<Template> zone_, locale_;
    std::shared_ptr<const Readers> readers_;  // null: they depend on the document
    ValueCache<Readers> cache_;
};

constexpr std::string_view default_target = "@timestamp";

pipeline::StepBody compile(const pipeline::Config& config) {
    const std::string& output = config.string("output_format");
    std::optional<DateFormat> format;
    try {
        format = DateFormat::compile(output);
    } catch (const Error& error) {
        config.error("output_format", "invalid output format [" + output + "]", error.what());
        return std::unique_ptr<pipeline::Processor>();
    }
    auto step =
        std::make_unique<Date>(config.path("field"), config.path_or("target_field", default_target),
                               config.strings("formats"), std::move(*format));
    const auto text = [&](std::string_view option) {
        return config.has(option) ? std::optional(config.text(option)) : std::nullopt;
    };
    step->set_context(text("timezone"), text("locale"));
    for (const std::string& problem : step->problems())
        config.warning("formats", "cannot read any date: " + problem);
    return step;
}

}  // namespace

pipeline::ProcessorSpec date() {
    return {
        .name = "date",
        .summary = "Reads a date and writes it in one form.",
        .description =
            "The formats are tried in order; the first that fits the whole text counts. A format "
            "is\n\n"
            "- a pattern of Java's `DateTimeFormatter` (`dd/MMM/yyyy:HH:mm:ss Z`), with optional "
            "sections in brackets,\n"
            "- the name of one of Elasticsearch's formats (`strict_date_optional_time`, "
            "`epoch_millis`, ...),\n"
            "- several of both with `||` between them,\n"
            "- `ISO8601`, `UNIX` (seconds, a fraction is allowed), `UNIX_MS` or `TAI64N`.\n\n"
            "A date without a year is in the current one (the year of `_ingest.timestamp`), and in "
            "the time zone of `timezone`, also when the text names another. Parts of the time that "
            "are absent are zero, the month and day are the first. Numbers are read as text. Local "
            "times that a zone's clocks skip move forward, those that they show twice are the "
            "earlier one.\n\n"
            "Abbreviations such as `PST` or `CEST` are read by the letter `z`; `timezone` takes "
            "names (`America/Los_Angeles`) and offsets (`+02:00`). Those that several zones share "
            "mean the best-known: `BST` is London's, `IST` India's. Days of the week are compared "
            "with the date where the year is `u`, not where it is `y`, as in Elasticsearch. The "
            "pattern letter `B` (parts of the day) is not available.\n\n"
            "A format, time zone or language that does not exist reads nothing: documents fail, "
            "and "
            "loading the pipeline warns.",
        .options = {pipeline::field_option("The date."),
                    {.name = "formats",
                     .type = pipeline::OptionType::strings,
                     .doc = "The formats to try, in order.",
                     .required = true},
                    {.name = "target_field",
                     .type = pipeline::OptionType::field,
                     .doc = "Where the date is written.",
                     .default_value = "\"@timestamp\""},
                    {.name = "timezone",
                     .type = pipeline::OptionType::string,
                     .doc = "The time zone of dates that name none, and of the result. UTC when it "
                            "is not given.",
                     .templated = true},
                    {.name = "locale",
                     .type = pipeline::OptionType::string,
                     .doc = "The language of months and days, and how it counts weeks (`en-US`). "
                            "English names and ISO 8601 weeks when it is not given.",
                     .templated = true},
                    {.name = "output_format",
                     .type = pipeline::OptionType::string,
                     .doc = "How the result is written: a pattern or a named format.",
                     .default_value = "\"yyyy-MM-dd'T'HH:mm:ss.SSSXXX\""}},
        .examples = {{.options = "{field: time, formats: [\"dd/MM/yyyy HH:mm:ss\", ISO8601], "
                                 "timezone: Europe/Amsterdam}",
                      .in = R"({"time":"12/06/2010 09:30:00"})",
                      .out = R"({"time":"12/06/2010 09:30:00",)"
                             R"("@timestamp":"2010-06-12T09:30:00.000+02:00"})"},
                     {.options = "{field: at, formats: [UNIX], target_field: at, output_format: "
                                 "yyyy-MM-dd}",
                      .in = R"({"at":1495718015.5})",
                      .out = R"({"at":"2017-05-25"})",
                      .title = "Seconds since 1970, and a form of one's own"},
                     {.options = "{field: at, formats: [UNIX_MS, ISO8601]}",
                      .in = R"({"at":"yesterday"})",
                      .fails = "unable to parse date [yesterday]"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
