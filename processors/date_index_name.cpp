#include "engine/runtime/error.h"
#include "processors/builtin.h"
#include "processors/date_reader.h"
#include "processors/value_cache.h"

namespace penstock::processors {

using document::Document;
using document::FieldPath;
using document::Meta;
using document::Outcome;
using document::Result;
using document::Value;
using script::Template;
using text::dates::DateDefaults;
using text::dates::DateFormat;
using text::dates::DateLocale;
using text::dates::Zone;
using text::dates::ZonedTime;

namespace {

constexpr std::string_view roundings = "yMwdhms";

/// A format that is used in names, or why it is none.
struct NameFormat {
    std::optional<DateFormat> format;
    std::string problem;
};

NameFormat make_format(const std::string& pattern) {
    NameFormat made;
    try {
        made.format = DateFormat::compile(pattern);
    } catch (const Error& error) {
        made.problem = error.what();
    }
    return made;
}

/// The parts of the name.
struct NameParts {
    Template prefix;
    Template rounding;
    Template format;
};

class DateIndexName final : public pipeline::Processor {
  public:
    DateIndexName(FieldPath field, std::vector<DateReader> readers, const Zone& zone,
                  NameParts parts)
        : field_(std::move(field)),
          readers_(std::move(readers)),
          zone_(zone),
          zone_id_(zone.is_utc() ? "UTC" : zone.id()),
          parts_(std::move(parts)) {
        if (parts_.format.is_constant()) {
            format_ = std::make_shared<const NameFormat>(make_format(parts_.format.text()));
        }
    }

    /// Why a constant format is none; empty when it is one.
    std::string problem() const { return format_ ? format_->problem : ""; }

    Outcome run(Document& document) const override {
        const Value* found = document.find(field_);
        if (found == nullptr) return document.get(field_).error();
        std::string scratch;
        const std::string_view text = date_text(*found, scratch);
        std::optional<ZonedTime> time;
        if (!found->is_null()) time = read(text, current_year(document));
        if (!time) return document::failure("unable to parse date [" + std::string(text) + "]");
        std::string name;
        const Outcome written = write_name(document, *time, name);
        if (written.is_failure()) return written.failure();
        document.set_meta(Meta::index, Value::string(name, document.arena()));
        return Outcome::ok();
    }

  private:
    /// Of several formats that fit, the last counts: Elasticsearch tries all.
    std::optional<ZonedTime> read(std::string_view text, std::int64_t year) const {
        const DateDefaults defaults{zone_, year};
        std::optional<ZonedTime> time;
        for (const DateReader& reader : readers_) {
            if (auto fits = reader.read(text, defaults)) time = fits;
        }
        return time;
    }

    /// `<prefix{date||/rounding{format|zone}}>`
    Outcome write_name(const Document& document, const ZonedTime& time, std::string& name) const {
        std::string rendered;
        parts_.format.render(document, rendered);
        const auto format = format_ ? format_ : cache_.get(rendered, [&] {
            return std::make_shared<const NameFormat>(make_format(rendered));
        });
        if (!format->format) return document::failure(format->problem);
        name.push_back('<');
        parts_.prefix.render(document, name);
        name.push_back('{');
        try {
            format->format->print(time, name);
        } catch (const Error& error) {
            return document::failure(error.what());
        }
        name += "||/";
        parts_.rounding.render(document, name);
        name.push_back('{');
        name += rendered;
        name.push_back('|');
        name += zone_id_;
        name += "}}>";
        return Outcome::ok();
    }

    FieldPath field_;
    std::vector<DateReader> readers_;
    Zone zone_;
    std::string zone_id_;
    NameParts parts_;
    std::shared_ptr<const NameFormat> format_;  // null: it depends on the document
    ValueCache<NameFormat> cache_;
};

pipeline::StepBody compile(const pipeline::Config& config) {
    const auto checked = [&](std::string_view option, const auto& make) {
        try {
            make();
        } catch (const Error& error) {
            config.error(option, "[" + std::string(option) + "] " + error.what());
        }
    };
    Zone zone;
    DateLocale locale;
    if (config.has("timezone"))
        checked("timezone", [&] { zone = Zone::parse(config.string("timezone")); });
    if (config.has("locale"))
        checked("locale", [&] { locale = DateLocale::parse_tag(config.string("locale")); });
    std::vector<DateReader> readers;
    for (const std::string& format : config.strings("date_formats")) {
        checked("date_formats", [&] { readers.push_back(DateReader::compile(format, locale)); });
    }
    NameParts parts{config.text("index_name_prefix"), config.text("date_rounding"),
                    config.text("index_name_format")};
    if (parts.rounding.is_constant() &&
        (parts.rounding.text().size() != 1 ||
         roundings.find(parts.rounding.text()[0]) == std::string_view::npos))
        config.warning("date_rounding", "[" + parts.rounding.text() +
                                            "] is none of y, M, w, d, h, m and s: no index can be "
                                            "found by the name");
    auto step = std::make_unique<DateIndexName>(config.path("field"), std::move(readers), zone,
                                                std::move(parts));
    if (!step->problem().empty())
        config.warning("index_name_format", "no name can be made: " + step->problem());
    return step;
}

pipeline::OptionSpec name_part(std::string name, std::string doc, std::string default_value) {
    pipeline::OptionSpec option = pipeline::string_option(std::move(name), std::move(doc));
    option.default_value = std::move(default_value);
    option.templated = true;
    return option;
}

}  // namespace

pipeline::ProcessorSpec date_index_name() {
    return {
        .name = "date_index_name",
        .summary = "Sends a document to the index of its date.",
        .description =
            "Writes `_index` as a name with date mathematics, "
            "`<prefix{date||/rounding{format|zone}}>`; it is worked out when the document is "
            "indexed, so that `<events-{2016-04-22||/M{yyyy-MM-dd|UTC}}>` goes to "
            "`events-2016-04-01`. Formats are those of the `date` processor; when several fit, the "
            "last counts.",
        .options = {pipeline::field_option("The date."),
                    {.name = "date_rounding",
                     .type = pipeline::OptionType::string,
                     .doc = "To what the date is rounded down: `y`, `M`, `w`, `d`, `h`, `m` or "
                            "`s`.",
                     .required = true,
                     .templated = true},
                    name_part("index_name_prefix", "What the name begins with.", "\"\""),
                    name_part("index_name_format", "How the rounded date is written in the name.",
                              "yyyy-MM-dd"),
                    {.name = "date_formats",
                     .type = pipeline::OptionType::strings,
                     .doc = "The formats of the field, as the `date` processor takes them.",
                     .default_value = "[\"yyyy-MM-dd'T'HH:mm:ss.SSSXX\"]"},
                    pipeline::string_option("timezone",
                                            "The time zone of the date and the name. UTC when it "
                                            "is not given."),
                    pipeline::string_option("locale",
                                            "The language of months and days in the field, as a "
                                            "language tag. English when it is not given.")},
        .examples = {{.options = "{field: date, index_name_prefix: events-, date_rounding: M}",
                      .in = R"({"date":"2016-04-25T12:02:01.789Z"})",
                      .out = R"({"_index":"<events-{2016-04-25||/M{yyyy-MM-dd|UTC}}>",)"
                             R"("date":"2016-04-25T12:02:01.789Z"})"},
                     {.options = "{field: date, date_rounding: d}",
                      .in = R"({"date":"soon"})",
                      .fails = "unable to parse date [soon]"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
