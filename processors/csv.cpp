#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/document/utf8.h"
#include "processors/builtin.h"
#include "processors/read_field.h"

namespace penstock::processors {

using document::Arena;
using document::Document;
using document::Failure;
using document::FieldPath;
using document::Outcome;
using document::Result;
using document::Value;

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// UTF-16 units: Elasticsearch's messages count in them.
std::size_t utf16_size(std::string_view text) {
    std::size_t units = 0;
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        units += (byte & 0xc0) != 0x80;
        units += byte >= 0xf0;
    }
    return units;
}

/// How a row is written. Separator and quote are one character each, of one to three bytes.
class Syntax {
  public:
    Syntax(std::string separator, std::string quote, bool trim)
        : separator_(std::move(separator)), quote_(std::move(quote)), trim_(trim) {
        for (char c : {separator_.front(), quote_.front(), '\n', '\r'})
            stops_[static_cast<unsigned char>(c)] = true;
    }

    const std::string& separator() const { return separator_; }
    const std::string& quote() const { return quote_; }
    bool trim() const { return trim_; }
    /// Where in `text` the next separator, quote or line end may be; its size when there is none.
    std::size_t next_stop(std::string_view text, std::size_t from) const {
        while (from < text.size() && !stops_[static_cast<unsigned char>(text[from])])
            ++from;
        return from;
    }

  private:
    std::string separator_, quote_;
    bool trim_;
    std::array<bool, 256> stops_{};
};

/// Reads a row column by column, as Elasticsearch's CsvParser does (facts from its source, 9.x).
/// One thing is not repeated: there a column of nothing but blanks that is not trimmed puts its
/// separator in front of the next column.
class Row {
  public:
    Row(const Syntax& syntax, std::string_view text, Arena& arena)
        : syntax_(syntax), text_(text), arena_(arena) {}

    /// The next column; nothing when the row has ended, which an empty column at its end does not
    /// change. What follows a column that is the `last` to be read is not checked.
    Result<std::optional<std::string_view>> next(bool last) {
        std::size_t begin = at_;
        for (; at_ < text_.size(); ++at_) {
            if (is_at(syntax_.quote())) return quoted(last);
            if (is_at(syntax_.separator())) {
                at_ += syntax_.separator().size();
                return Column(text_.substr(begin, 0));
            }
            if (!is_blank(text_[at_])) return unquoted(syntax_.trim() ? at_ : begin);
        }
        return Column();
    }

  private:
    using Column = std::optional<std::string_view>;

    bool is_at(const std::string& character) const {
        return text_.substr(at_).starts_with(character);
    }

    /// The first character may be anything; blanks before the end of the row stay.
    Result<Column> unquoted(std::size_t begin) {
        for (++at_;; ++at_) {
            at_ = syntax_.next_stop(text_, at_);
            if (at_ == text_.size()) return Column(text_.substr(begin));
            if (is_at(syntax_.separator())) break;
            if (text_[at_] == '\n' || text_[at_] == '\r' || is_at(syntax_.quote()))
                return failed("Illegal character inside unquoted field at ");
        }
        std::size_t end = at_;
        while (syntax_.trim() && is_blank(text_[end - 1]))
            --end;
        at_ += syntax_.separator().size();
        return Column(text_.substr(begin, end - begin));
    }

    Result<Column> quoted(bool last) {
        const std::string& quote = syntax_.quote();
        at_ += quote.size();
        std::size_t begin = at_;
        std::string unescaped;
        while (true) {
            std::size_t end = text_.find(quote, at_);
            if (end == std::string_view::npos) return document::failure("Unmatched quote");
            std::string_view part = text_.substr(begin, end - begin);
            at_ = end + quote.size();
            if (!is_at(quote)) {
                if (std::optional<Failure> wrong = after_quote(last)) return std::move(*wrong);
                if (unescaped.empty()) return Column(part);
                unescaped += part;
                return Column(arena_.copy(unescaped));
            }
            unescaped += part;
            unescaped += quote;
            at_ += quote.size();
            begin = at_;
        }
    }

    /// Moves behind the separator. Blanks may be before it.
    std::optional<Failure> after_quote(bool last) {
        for (; at_ < text_.size(); ++at_) {
            if (is_at(syntax_.separator())) {
                at_ += syntax_.separator().size();
                break;
            }
            if (!is_blank(text_[at_])) {
                std::string_view rest = text_.substr(at_);
                std::size_t size = std::max<std::size_t>(document::utf8_length(rest), 1);
                return failed("character '" + std::string(rest.substr(0, size)) +
                              "' after quoted field at ");
            }
            if (last) break;
        }
        return std::nullopt;
    }

    Failure failed(std::string reason) const {
        return document::failure(std::move(reason) +
                                 std::to_string(utf16_size(text_.substr(0, at_))));
    }

    const Syntax& syntax_;
    std::string_view text_;
    Arena& arena_;
    std::size_t at_ = 0;
};

class Csv final : public pipeline::Processor {
  public:
    Csv(FieldPath field, std::vector<FieldPath> targets, Syntax syntax,
        const pipeline::Node& empty_value, bool ignore_missing)
        : field_(std::move(field)),
          targets_(std::move(targets)),
          syntax_(std::move(syntax)),
          empty_value_(empty_value.to_value(constants_)),
          ignore_missing_(ignore_missing) {}

    Outcome run(Document& document) const override {
        auto text = read_text(document, field_, ignore_missing_);
        if (!text) return text.error();
        if (!*text) return Outcome::ok();
        Row row(syntax_, **text, document.arena());
        for (const FieldPath& target : targets_) {
            auto column = row.next(&target == &targets_.back());
            if (!column) return column.error();
            if (!*column) break;
            Outcome outcome = write(document, target, **column);
            if (!outcome.is_ok()) return outcome;
        }
        return Outcome::ok();
    }

  private:
    /// Most columns are parts of the field's text, which stays where it is.
    Outcome write(Document& document, const FieldPath& target, std::string_view column) const {
        if (!column.empty()) return document.set(target, Value::string(column));
        if (empty_value_.is_null()) return Outcome::ok();
        // Later steps may change a list or object in place; a scalar is shared.
        bool shared = !empty_value_.is_array() && !empty_value_.is_object();
        return document.set(
            target, shared ? empty_value_ : document::clone(empty_value_, document.arena()));
    }

    FieldPath field_;
    std::vector<FieldPath> targets_;
    Syntax syntax_;
    Arena constants_;
    Value empty_value_;
    bool ignore_missing_;
};

/// As Java counts: characters beyond U+FFFF are two.
void check_character(const pipeline::Config& config, const char* option, const char* examples) {
    if (utf16_size(config.string(option)) == 1) return;
    std::string name = option;
    config.error(option, "[" + name + "] " + name + " has to be single character like " + examples);
}

pipeline::StepBody compile(const pipeline::Config& config) {
    check_character(config, "quote", "\" or '");
    check_character(config, "separator", ", or ;");
    std::vector<FieldPath> targets;
    for (const std::string& target : config.strings("target_fields"))
        targets.push_back(config.parse_path("target_fields", target));
    if (targets.empty())
        config.error("target_fields", "[target_fields] target fields list can't be empty");
    if (config.string("quote").empty() || config.string("separator").empty())
        return std::unique_ptr<pipeline::Processor>();
    return std::make_unique<Csv>(
        config.path("field"), std::move(targets),
        Syntax(config.string("separator"), config.string("quote"), config.flag("trim")),
        config.node("empty_value"), config.flag("ignore_missing"));
}

}  // namespace

pipeline::ProcessorSpec csv() {
    return {
        .name = "csv",
        .summary = "Splits a row of comma-separated values into fields.",
        .description =
            "RFC 4180, with blanks (spaces and tabs) allowed around quoted columns. In quotes "
            "there may be separators, line ends and doubled quotes. Values are strings; columns "
            "without a target field are not looked at, and target fields without a column are not "
            "written.\n\n"
            "As in Elasticsearch, `trim` leaves the blanks at the end of the last column, and an "
            "empty column at the end of the row does not get `empty_value`. Unlike there, a column "
            "of nothing but blanks that is not trimmed is empty and leaves the next one as it is.",
        .options =
            {pipeline::field_option("The row."),
             {.name = "target_fields",
              .type = pipeline::OptionType::strings,
              .doc = "The fields to write, one a column.",
              .required = true},
             {.name = "separator",
              .doc = "The character between columns.",
              .default_value = "\",\""},
             {.name = "quote", .doc = "The character around columns.", .default_value = "'\"'"},
             pipeline::flag_option("trim", "Take blanks off columns that are not quoted.", false),
             {.name = "empty_value",
              .type = pipeline::OptionType::any,
              .doc = "Written for empty columns, which are left out otherwise."},
             pipeline::ignore_missing_option()},
        .examples =
            {{.options = "{field: row, target_fields: [id, user.name, city]}",
              .in = R"({"row":"7,\"Kim, \"\"K\"\"\",Oslo"})",
              .out =
                  R"({"row":"7,\"Kim, \"\"K\"\"\",Oslo","id":"7","user":{"name":"Kim, \"K\""},"city":"Oslo"})"},
             {.options =
                  R"yaml({field: row, target_fields: [a, b, c], separator: ";", trim: true, empty_value: "-"})yaml",
              .in = R"({"row":" x ;;z"})",
              .out = R"({"row":" x ;;z","a":"x","b":"-","c":"z"})",
              .title = "Other separator, trimmed, empty columns filled"},
             {.options = "{field: row, target_fields: [a, b]}",
              .in = R"({"row":"x,\"y"})",
              .fails = "Unmatched quote"}},
        .compile = compile,
    };
}

}  // namespace penstock::processors
