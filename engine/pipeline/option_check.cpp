#include "engine/pipeline/option_check.h"

#include <algorithm>
#include <cmath>

#include "engine/document/json.h"
#include "engine/pipeline/definition.h"
#include "engine/pipeline/node_builder.h"

namespace penstock::pipeline {

namespace {

bool is_number(const Node& node) {
    return node.kind == Node::Kind::integer || node.kind == Node::Kind::floating ||
           node.kind == Node::Kind::number;
}

bool is_scalar(const Node& node) {
    return !node.is_list() && !node.is_map();
}

/// 20 and not 20.000000.
std::string number_text(double value) {
    std::string text;
    if (value == std::floor(value) && std::abs(value) < 1e15)
        return std::to_string(static_cast<std::int64_t>(value));
    document::append_double(value, text);
    return text;
}

std::string listed(const std::vector<std::string>& values) {
    std::string text = "[";
    for (const std::string& value : values)
        text += (text.size() > 1 ? ", " : "") + value;
    return text + "]";
}

class Checker {
  public:
    Checker(const OptionSpec& option, std::vector<OptionProblem>& problems)
        : option_(option), problems_(problems) {}

    Node check(const Node& value) {
        switch (option_.type) {
            case OptionType::string:
            case OptionType::field:
            case OptionType::regex:
                if (!value.is_string()) wrong(value, is_scalar(value) ? "put it in quotes" : "");
                return value;
            case OptionType::enumeration:
                return enumeration(value);
            case OptionType::boolean:
                return boolean(value);
            case OptionType::integer:
            case OptionType::number:
                return number(value);
            case OptionType::strings:
                return strings(value);
            case OptionType::list:
                if (!value.is_list()) wrong(value);
                return value;
            case OptionType::object:
                if (!value.is_map()) wrong(value);
                return value;
            case OptionType::processor:
                if (!value.is_map())
                    wrong(value,
                          value.is_string() ? "write it as a map: " + value.text + ": {}" : "");
                return value;
            case OptionType::any:
                break;
        }
        return value;
    }

  private:
    void problem(const Node& at, std::string message, std::string hint = {}) {
        problems_.push_back(
            {at.position, "option [" + option_.name + "] " + std::move(message), std::move(hint)});
    }
    void wrong(const Node& value, std::string hint = {}) {
        problem(value, "must be " + expected(option_) + ", found " + value.describe(),
                std::move(hint));
    }

    Node enumeration(const Node& value) {
        bool known = std::find(option_.values.begin(), option_.values.end(), value.text) !=
                     option_.values.end();
        if (value.is_string() && known) return value;
        std::string_view near = nearest(value.text, {option_.values.begin(), option_.values.end()});
        wrong(value, near.empty() ? "" : "did you mean [" + std::string(near) + "]?");
        return value;
    }

    Node boolean(const Node& value) {
        if (value.kind == Node::Kind::boolean) return value;
        Node made = value;
        made.boolean = value.text == "true";
        if (!value.is_string() || (value.text != "true" && value.text != "false")) {
            wrong(value, value.is_string() ? "write true or false" : "");
        }
        made.kind = Node::Kind::boolean;
        return made;
    }

    Node number(const Node& value) {
        Node made = value;
        if (value.is_string()) {
            made = ScalarTypes().number_or_string(value.text);
            made.position = value.position;
        }
        bool fits = option_.type == OptionType::integer ? made.kind == Node::Kind::integer
                                                        : is_number(made);
        if (!fits) {
            wrong(value);
            return value;
        }
        if ((option_.minimum && made.floating < *option_.minimum) ||
            (option_.maximum && made.floating > *option_.maximum)) {
            problem(value, "must be " + range() + ", found " + made.text);
        }
        return made;
    }

    std::string range() const {
        if (!option_.maximum) return "at least " + number_text(*option_.minimum);
        if (!option_.minimum) return "at most " + number_text(*option_.maximum);
        return "between " + number_text(*option_.minimum) + " and " + number_text(*option_.maximum);
    }

    Node strings(const Node& value) {
        if (value.is_string()) {
            Node list;
            list.kind = Node::Kind::list;
            list.position = value.position;
            list.items = {value};
            return list;
        }
        if (!value.is_list()) {
            wrong(value, is_scalar(value) ? "put it in quotes" : "");
            return value;
        }
        for (const Node& item : value.items) {
            if (!item.is_string()) wrong(item, is_scalar(item) ? "put it in quotes" : "");
        }
        return value;
    }

    const OptionSpec& option_;
    std::vector<OptionProblem>& problems_;
};

}  // namespace

std::string expected(const OptionSpec& option) {
    switch (option.type) {
        case OptionType::enumeration:
            return "one of " + listed(option.values);
        case OptionType::integer:
            return "an integer";
        case OptionType::object:
            return "a map";
        case OptionType::processor:
            return "a map with one processor";
        case OptionType::field:
            return "a field's name";
        case OptionType::any:
            return "a value";
        default:
            return "a " + std::string(type_name(option.type));
    }
}

Node checked_value(const OptionSpec& option, const Node& value,
                   std::vector<OptionProblem>& problems) {
    return Checker(option, problems).check(value);
}

Node default_node(const OptionSpec& option, std::string& problem) {
    if (option.default_value.empty()) return {};
    Diagnostics diagnostics;
    std::optional<Node> node = parse_node(option.default_value, option.name, diagnostics);
    if (!node || diagnostics.has_errors()) {
        problem = "option [" + option.name + "] is not YAML: " + diagnostics.text();
        return {};
    }
    if (node->is_null()) return {};
    std::vector<OptionProblem> problems;
    Node value = checked_value(option, *node, problems);
    if (!problems.empty()) problem = problems.front().message;
    return value;
}

}  // namespace penstock::pipeline
