// YAML to nodes, with positions. The only file that knows yaml-cpp.
//
// The library's events are used and not its tree: they come one by one, so that the limits hold
// while the text is read, keys have positions of their own, and an alias is an event instead of a
// shared subtree.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <streambuf>

#include "engine/pipeline/node_builder.h"

namespace penstock::pipeline {

namespace {

Position position_of(const YAML::Mark& mark) {
    if (mark.is_null()) return {};
    return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

/// Reads `text` in place.
class TextBuffer : public std::streambuf {
  public:
    explicit TextBuffer(std::string_view text) {
        char* begin =
            const_cast<char*>(text.data());  // NOLINT: a streambuf reads through non-const pointers
        setg(begin, begin, begin + text.size());
    }
};

constexpr std::string_view core_tag = "tag:yaml.org,2002:";

class TreeHandler final : public YAML::EventHandler {
  public:
    TreeHandler(std::string_view text, NodeBuilder& builder) : text_(text), builder_(builder) {}

    void OnDocumentStart(const YAML::Mark& mark) override {
        Position before = document_;
        document_ = position_of(mark);
        ++documents_;
        // A token that begins nothing (a comma, say) is not consumed: the library would see an
        // empty document before it, again and again.
        if (documents_ > 1 && before.line == document_.line && before.column == document_.column) {
            throw Unreadable{
                {document_, "not valid YAML: a character that cannot begin a value", ""}};
        }
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        if (documents_ > 1 && !builder_.is_open())
            return;  // a last `---` with nothing behind it does no harm
        refuse_second_document();
        Node node;
        node.text = null_text(mark);
        node.position = node.text.empty() ? place_of_nothing(mark) : position_of(mark);
        builder_.scalar(std::move(node), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_second_document();
        builder_.alias(anchor, position_of(mark), word_at(mark));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        refuse_second_document();
        bool plain = tag.empty() || tag == "?";
        Node node = plain ? types_.plain(value) : tagged(mark, tag, value);
        node.position = position_of(mark);
        builder_.scalar(std::move(node), anchor, plain && value == "<<");
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        begin(Node::Kind::list, mark, tag, anchor, "seq");
    }
    void OnSequenceEnd() override { builder_.end(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        begin(Node::Kind::map, mark, tag, anchor, "map");
    }
    void OnMapEnd() override { builder_.end(); }

  private:
    void begin(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
               YAML::anchor_t anchor, std::string_view core_name) {
        refuse_second_document();
        if (!tag.empty() && tag != "?" && tag != "!" &&
            tag != std::string(core_tag).append(core_name)) {
            refuse_tag(mark, tag);
        }
        builder_.begin(kind, position_of(mark), anchor);
    }

    /// Quoted and block scalars have the tag "!".
    Node tagged(const YAML::Mark& mark, const std::string& tag, const std::string& value) {
        Node text;
        text.kind = Node::Kind::string;
        text.text = value;
        if (tag == "!" || tag == "tag:yaml.org,2002:str") return text;
        std::string_view type = tag;
        if (!type.starts_with(core_tag)) refuse_tag(mark, tag);
        type.remove_prefix(core_tag.size());
        Node node = types_.plain(value);
        bool number = node.kind == Node::Kind::integer || node.kind == Node::Kind::number;
        bool fits =
            (type == "null" && node.is_null()) ||
            (type == "bool" && node.kind == Node::Kind::boolean) ||
            (type == "int" && number && node.text.find_first_of(".eE") == std::string::npos) ||
            (type == "float" && (number || node.kind == Node::Kind::floating));
        if (fits) return node;
        if (type != "null" && type != "bool" && type != "int" && type != "float")
            refuse_tag(mark, tag);
        throw Unreadable{
            {position_of(mark), "tag [" + shown(tag) + "] does not fit " + text.describe(), ""}};
    }

    static std::string shown(const std::string& tag) {
        return tag.starts_with(core_tag) ? "!!" + tag.substr(core_tag.size()) : tag;
    }
    [[noreturn]] static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        throw Unreadable{
            {position_of(mark), "tag [" + shown(tag) + "] is not supported",
             "only the tags !!str, !!int, !!float, !!bool, !!null, !!seq and !!map are"}};
    }

    void refuse_second_document() const {
        if (documents_ < 2) return;
        throw Unreadable{{document_, "the file holds more than one YAML document",
                          "put each pipeline in a file of its own"}};
    }

    /// The word at `mark`, `&` and `*` left out.
    std::string_view word_at(const YAML::Mark& mark) const {
        if (mark.pos < 0 || static_cast<std::size_t>(mark.pos) >= text_.size()) return {};
        std::string_view rest = text_.substr(static_cast<std::size_t>(mark.pos));
        if (rest.front() == '*' || rest.front() == '&') rest.remove_prefix(1);
        return rest.substr(0, rest.find_first_of(" \t\r\n,:[]{}#"));
    }

    /// "null", "~", ... when it is written out: the event does not tell, and as a key it is text.
    std::string null_text(const YAML::Mark& mark) const {
        std::string_view word = word_at(mark);
        return word == "~" || word == "null" || word == "Null" || word == "NULL" ? std::string(word)
                                                                                 : std::string();
    }

    /// What is left out has the mark of what comes next; its key or its dash is the better place.
    Position place_of_nothing(const YAML::Mark& mark) const {
        if (builder_.wants_value()) return builder_.last_key();
        auto next = static_cast<std::size_t>(std::max(mark.pos, 0));
        std::size_t at =
            next == 0 ? std::string_view::npos : text_.find_last_not_of(" \t\r\n", next - 1);
        if (at == std::string_view::npos || text_[at] != '-') return position_of(mark);
        std::string_view between = text_.substr(at, next - at);
        auto lines = std::count(between.begin(), between.end(), '\n');
        std::size_t line_start = text_.rfind('\n', at) + 1;  // npos + 1 is 0
        return {position_of(mark).line - static_cast<std::uint32_t>(lines),
                static_cast<std::uint32_t>(at - line_start + 1)};
    }

    std::string_view text_;
    NodeBuilder& builder_;
    ScalarTypes types_;
    int documents_ = 0;
    Position document_;
};

/// What the library says, what we say instead and what to do about it. Texts that are not here pass
/// as they are.
struct Explanation {
    const char* theirs;
    std::string_view ours;
    std::string_view hint;
};
const std::array explanations = {
    Explanation{
        YAML::ErrorMsg::MAP_VALUE, "a [:] stands where no value may begin",
        "check the indentation and the line above, and put text that contains \": \" in quotes"},
    Explanation{YAML::ErrorMsg::MAP_KEY, "a key stands where none may", "check the indentation"},
    Explanation{YAML::ErrorMsg::BLOCK_ENTRY, "a list item stands where none may",
                "check the indentation"},
    Explanation{YAML::ErrorMsg::END_OF_MAP_FLOW, "the map that begins here is not closed",
                "look for a missing [}], comma or quote"},
    Explanation{YAML::ErrorMsg::END_OF_SEQ_FLOW, "the list that begins here is not closed",
                "look for a missing []], comma or quote"},
    Explanation{YAML::ErrorMsg::END_OF_MAP,
                "the map ends in the middle, or this line belongs to none",
                "check the indentation, and that the key has its [:]"},
    Explanation{YAML::ErrorMsg::END_OF_SEQ,
                "the list ends in the middle, or this line belongs to none",
                "check the indentation, and that the item has its [-]"},
    Explanation{YAML::ErrorMsg::FLOW_END, "a closing bracket without an opening one",
                "put text with brackets in quotes"},
    Explanation{YAML::ErrorMsg::EOF_IN_SCALAR,
                "a quoted string is not closed before the end of the file", ""},
    Explanation{YAML::ErrorMsg::DOC_IN_SCALAR,
                "a quoted string is not closed before the next document", ""},
    Explanation{YAML::ErrorMsg::INVALID_ESCAPE, "unknown escape in a double-quoted string",
                "write a backslash as \\\\, or use single quotes"},
    Explanation{YAML::ErrorMsg::TAB_IN_INDENTATION, "a tab stands in the indentation",
                "indent with spaces"},
    Explanation{YAML::ErrorMsg::UNKNOWN_ANCHOR, "the alias names no anchor that stands before it",
                "put text that begins with * in quotes"},
    Explanation{YAML::ErrorMsg::UNKNOWN_TOKEN, "a character that cannot begin a value",
                "put text that begins with @, `, % or &, or has a ? inside of brackets, in quotes"},
};

/// Whether the line (from 1) is indented with a tab: the library then complains about something
/// else.
bool has_tab_indentation(std::string_view text, std::uint32_t line) {
    for (; line > 1; --line) {
        std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return false;
        text.remove_prefix(end + 1);
    }
    std::string_view blanks = text.substr(0, text.find_first_not_of(" \t"));
    return blanks.find('\t') != std::string_view::npos;
}

/// `open` is where the innermost list or map begins that is not closed yet.
Finding explain(const YAML::Exception& exception, std::string_view text, Position open) {
    Finding finding{position_of(exception.mark), "not valid YAML: ", ""};
    if (finding.position.line > 0 && has_tab_indentation(text, finding.position.line)) {
        finding.message += "a tab stands in the indentation";
        finding.hint = "indent with spaces";
        return finding;
    }
    for (const Explanation& explanation : explanations) {
        if (!exception.msg.starts_with(explanation.theirs)) continue;
        finding.message += explanation.ours;
        // The library notices at the end of the file, where nobody looks for the cause.
        bool unclosed = exception.msg.starts_with(YAML::ErrorMsg::END_OF_MAP_FLOW) ||
                        exception.msg.starts_with(YAML::ErrorMsg::END_OF_SEQ_FLOW);
        if (unclosed && open.line > 0) finding.position = open;
        finding.hint = explanation.hint;
        return finding;
    }
    finding.message += exception.msg;
    return finding;
}

/// The library holds all tokens of a flow collection at once (some hundred bytes each), so their
/// number is bounded before it starts. Brackets and commas inside of texts count too: that errs on
/// the safe side.
void check_flow_size(std::string_view text, const DefinitionLimits& limits) {
    auto marks = std::count_if(text.begin(), text.end(),
                               [](char c) { return c == '[' || c == '{' || c == ','; });
    if (static_cast<std::size_t>(marks) <= limits.max_nodes) return;
    throw Unreadable{{{1, 1}, "more than " + std::to_string(limits.max_nodes) + " values", ""},
                     true};
}

}  // namespace

ReadResult read_yaml(std::string_view text, const DefinitionLimits& limits) {
    ReadResult result;
    NodeBuilder builder(limits, result.findings);
    try {
        check_flow_size(text, limits);
        TextBuffer buffer(text);
        std::istream stream(&buffer);
        YAML::Parser parser(stream);
        TreeHandler handler(text, builder);
        while (parser.HandleNextDocument(handler)) {
        }
        result.tree = builder.take();
    } catch (Unreadable& unreadable) {
        result.findings.push_back(std::move(unreadable.finding));
        result.limit = unreadable.limit;
    } catch (const YAML::Exception& exception) {
        result.findings.push_back(explain(exception, text, builder.innermost()));
    }
    return result;
}

}  // namespace penstock::pipeline
