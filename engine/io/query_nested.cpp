// Conditions that one and the same object of a list must meet. Documents lie flat in the index;
// which object a row is of tells its place.
#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/io/query_node.h"

namespace penstock::io {
namespace {

using document::Value;
using Element = DocumentView::Element;

bool is_index(std::string_view step) {
    return !step.empty() &&
           std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A step of a JSON pointer as a name.
std::string name_of(std::string_view step) {
    std::string name;
    for (std::size_t i = 0; i < step.size(); ++i) {
        const bool escape = step[i] == '~' && i + 1 < step.size();
        name.push_back(!escape ? step[i] : step[++i] == '1' ? '/' : '~');
    }
    return name;
}

std::string step_of(std::string_view name) {
    std::string step;
    for (const char c : name) {
        if (c == '~' || c == '/') {
            step += c == '~' ? "~0" : "~1";
        } else {
            step.push_back(c);
        }
    }
    return step;
}

/// All objects at `rest`; `here` is the way to `value`, `element` that to the nearest array
/// element.
void find_elements(Value value, std::string_view rest, const std::string& here,
                   const std::string& element, std::vector<Element>& out) {
    if (value.is_array()) {
        for (std::size_t i = 0; i < value.as_array().size(); ++i) {
            const std::string there = here + "/" + std::to_string(i);
            find_elements(value.as_array()[i], rest, there, there, out);
        }
        return;
    }
    if (!value.is_object()) return;
    if (rest.empty()) {
        out.push_back({element, value});
        return;
    }
    for (std::size_t dot = rest.find('.');; dot = rest.find('.', dot + 1)) {
        const std::string_view name = rest.substr(0, dot);
        if (const Value* member = value.as_object().get(name))
            find_elements(*member,
                          dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1),
                          here + "/" + step_of(name), element, out);
        if (dot == std::string_view::npos) return;
    }
}

bool is_within(std::string_view pointer, std::string_view outer) {
    return pointer.starts_with(outer) &&
           (pointer.size() == outer.size() || outer.empty() || pointer[outer.size()] == '/');
}

class ElementListMatcher final : public Matcher {
  public:
    explicit ElementListMatcher(std::vector<ScoredElement> elements)
        : elements_(std::move(elements)) {
        std::sort(elements_.begin(), elements_.end(), less);
        for (const ScoredElement& one : elements_) {
            if (documents_.empty() || documents_.back() != one.seq_no)
                documents_.push_back(one.seq_no);
        }
    }

    bool match(DocumentView& document, double& score) const override {
        if (document.element() == nullptr) return false;
        const ScoredElement wanted{document.seq_no(), document.element()->pointer, 0};
        const auto found = std::lower_bound(elements_.begin(), elements_.end(), wanted, less);
        if (found == elements_.end() || less(wanted, *found)) return false;
        score = found->score;
        return true;
    }
    const DocumentList* candidates() const override { return &documents_; }
    /// Which objects there are says the document.
    bool needs_document() const override { return true; }

  private:
    static bool less(const ScoredElement& a, const ScoredElement& b) {
        return std::tie(a.seq_no, a.pointer) < std::tie(b.seq_no, b.pointer);
    }

    std::vector<ScoredElement> elements_;
    DocumentList documents_;
};

class NestedMatcher final : public Matcher {
  public:
    NestedMatcher(std::string path, MatcherPtr child, ScoreMode mode, double boost)
        : path_(std::move(path)), child_(std::move(child)), mode_(mode), boost_(boost) {}

    bool match(DocumentView& document, double& score) const override {
        const DocumentList* list = candidates();
        if (list != nullptr && !std::binary_search(list->begin(), list->end(), document.seq_no()))
            return false;
        const Element* outer = document.element();
        std::vector<Element> elements;
        find_elements(document.whole(), path_, "", "", elements);
        ScoreSummary matched;
        document::Arena arena;
        for (Element& element : elements) {
            if (outer != nullptr && !is_within(element.pointer, outer->pointer)) continue;
            match_one(document, element, arena, matched);
        }
        document.narrow_to(outer);
        if (matched.count() == 0) return false;
        score = boost_ * matched.score(mode_, 0);
        return true;
    }
    const DocumentList* candidates() const override { return child_->candidates(); }
    bool needs_document() const override { return true; }

  private:
    void match_one(DocumentView& document, Element& element, document::Arena& arena,
                   ScoreSummary& matched) const {
        auto* alone = arena.make<document::Object>();
        alone->set(path_, element.source, arena);
        element.source = Value::object(alone);
        document.narrow_to(&element);
        double score = 0;
        if (child_->match(document, score)) matched.add(score);
    }

    std::string path_;
    MatcherPtr child_;
    ScoreMode mode_;
    double boost_;
};

class NestedNode final : public QueryNode {
  public:
    NestedNode(std::string path, NodePtr child, ScoreMode mode, double boost)
        : path_(std::move(path)), child_(std::move(child)), mode_(mode), boost_(boost) {}

    MatcherPtr prepare(const Preparation& preparation) const override {
        Preparation inside = preparation;
        inside.nested = path_;
        return std::make_unique<NestedMatcher>(path_, child_->prepare(inside), mode_, boost_);
    }
    void text_conditions(const FieldTypes& types, std::vector<TextCondition>& out) const override {
        child_->text_conditions(types, out);
    }

  private:
    std::string path_;
    NodePtr child_;
    ScoreMode mode_;
    double boost_;
};

}  // namespace

std::string_view element_of(std::string_view place, std::string_view path) {
    std::string name;
    std::size_t end = 0;
    for (std::size_t i = 0; i < place.size();) {
        const std::size_t next = std::min(place.find('/', i + 1), place.size());
        const std::string_view step = place.substr(i + 1, next - i - 1);
        if (is_index(step)) {
            end = next;
        } else {
            if (name.size() >= path.size()) break;
            name += (name.empty() ? "" : ".") + name_of(step);
        }
        i = next;
    }
    return place.substr(0, end);
}

MatcherPtr make_element_list(std::vector<ScoredElement> elements) {
    return std::make_unique<ElementListMatcher>(std::move(elements));
}

NodePtr make_nested(std::string path, NodePtr child, ScoreMode mode, double boost) {
    return std::make_shared<NestedNode>(std::move(path), std::move(child), mode, boost);
}

}  // namespace penstock::io
