#include "processors/user_agent/literal_filter.h"

#include <algorithm>
#include <map>
#include <utility>

namespace penstock::processors {

namespace {

using Literals = std::vector<std::string>;

constexpr std::size_t shortest = 3;
constexpr std::size_t most_literals = 100;
constexpr int deepest = 100;

/// What is in here is in most user agents: it says little.
constexpr std::string_view common =
    "mozilla/5.0 (linux; u; android ; build/) (windows nt (iphone; cpu os like mac os x) "
    "applewebkit/537.36 (khtml, like gecko) version/ chrome/ mobile safari/537.36";

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool is_alphanumeric(char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/// How much a set of literals keeps out: the shortest decides.
std::size_t worth(const Literals& literals) {
    std::size_t least = literals.empty() ? 0 : ~std::size_t{0};
    for (const std::string& literal : literals) {
        const bool rare = common.find(literal) == common.npos;
        least = std::min(least, rare ? literal.size() + shortest : shortest);
        if (literal.size() < shortest) return 0;
    }
    return literals.size() > most_literals ? 0 : least;
}

/// Reads an expression just so far as to know what must be in a text. What it does not know ends
/// the reading, and nothing is said.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    Literals read() {
        Literals found = alternation();
        return gave_up_ || at_ < text_.size() ? Literals{} : found;
    }

  private:
    bool ends() const { return gave_up_ || at_ >= text_.size(); }

    /// Up to the group's parenthesis or the end.
    Literals alternation() {
        if (++depth_ > deepest) gave_up_ = true;
        Literals all;
        bool known = true;
        for (;;) {
            Literals branch = sequence();
            known = known && !branch.empty();
            all.insert(all.end(), branch.begin(), branch.end());
            if (ends() || text_[at_] != '|') break;
            ++at_;
        }
        --depth_;
        return known ? all : Literals{};
    }

    Literals sequence() {
        Literals best;
        std::string run;
        const auto offer = [&](Literals literals) {
            if (worth(literals) > worth(best)) best = std::move(literals);
        };
        const auto end_run = [&] { offer({std::exchange(run, {})}); };
        while (!ends() && text_[at_] != '|' && text_[at_] != ')') {
            if (text_[at_] == '(') {
                bool counts = true;
                Literals inner = group(counts);
                end_run();
                if (least_times() > 0 && counts) offer(std::move(inner));
            } else if (const char c = character(); c != '\0') {
                const int least = least_times();
                if (least > 0) run += c;
                if (repeated_ || least == 0) end_run();
            } else {
                end_run();
                least_times();
            }
        }
        end_run();
        return best;
    }

    /// What must be in a group; `counts` is false when it looks at the text without taking it.
    Literals group(bool& counts) {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '?') {
            const std::string_view rest = text_.substr(at_);
            if (rest.starts_with("?:") || rest.starts_with("?>")) {
                at_ += 2;
            } else if (rest.starts_with("?=") || rest.starts_with("?!")) {
                counts = false;
                at_ += 2;
            } else if (rest.starts_with("?<=") || rest.starts_with("?<!")) {
                counts = false;
                at_ += 3;
            } else if (rest.starts_with("?i)") || rest.starts_with("?i:")) {
                at_ += 2;
                if (rest[2] == ':') ++at_;
            } else {
                gave_up_ = true;
                return {};
            }
        }
        Literals inner = alternation();
        if (ends() || text_[at_] != ')') {
            gave_up_ = true;
            return {};
        }
        ++at_;
        return inner;
    }

    /// The next character when it stands for itself, in lower case; else it is skipped, and \0.
    char character() {
        const char c = text_[at_++];
        if (c == '\\') return escaped();
        if (c == '[') {
            skip_class();
            return '\0';
        }
        if (std::string_view(".^$").find(c) != std::string_view::npos) return '\0';
        if ((c & 0x80) == 0) return lower(c);
        while (at_ < text_.size() && (text_[at_] & 0xc0) == 0x80)
            ++at_;
        return '\0';
    }

    char escaped() {
        if (at_ >= text_.size()) {
            gave_up_ = true;
            return '\0';
        }
        const char c = text_[at_++];
        if (!is_alphanumeric(c)) return c;
        if (std::string_view("dDwWsSbBAZz").find(c) == std::string_view::npos) gave_up_ = true;
        return '\0';
    }

    void skip_class() {
        int depth = 1;
        const auto skip_first = [&] {
            if (at_ < text_.size() && text_[at_] == '^') ++at_;
        };
        skip_first();
        while (depth > 0 && at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == '\\') ++at_;
            if (c == ']') --depth;
            if (c != '[') continue;
            ++depth;
            skip_first();
        }
        if (depth > 0 || at_ > text_.size()) gave_up_ = true;
    }

    /// Reads the quantifier that follows, if one does: the fewest times. `repeated_` says whether
    /// it may be more than once.
    int least_times() {
        repeated_ = false;
        if (ends() || std::string_view("?*+{").find(text_[at_]) == std::string_view::npos) return 1;
        const char c = text_[at_++];
        repeated_ = true;
        int least = c == '+' ? 1 : 0;
        if (c == '{') {
            least = at_ < text_.size() && text_[at_] > '0' && text_[at_] <= '9' ? 1 : 0;
            at_ = std::min(text_.find('}', at_), text_.size() - 1) + 1;
        }
        if (at_ < text_.size() && (text_[at_] == '?' || text_[at_] == '+')) ++at_;
        return least;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
    bool repeated_ = false;
    bool gave_up_ = false;
};

}  // namespace

Literals required_literals(std::string_view java) {
    return Reader(java).read();
}

std::size_t LiteralFilter::bucket_of(const char* text) {
    std::uint32_t hash = 0;
    for (std::size_t i = 0; i < shortest; ++i)
        hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x01000193u;
    return (hash >> 16 ^ hash) % buckets;
}

LiteralFilter::LiteralFilter(const std::vector<std::vector<std::string>>& literals)
    : always_(literals.size() / 64 + 1) {
    std::map<std::string, std::vector<std::uint32_t>> by_text;
    for (std::size_t i = 0; i < literals.size(); ++i) {
        if (literals[i].empty()) add(always_, i);
        for (const std::string& text : literals[i])
            by_text[text].push_back(static_cast<std::uint32_t>(i));
    }
    for (auto& [text, expressions] : by_text)
        literals_.push_back({text, std::move(expressions)});
    const auto bucket = [](const Literal& literal) { return bucket_of(literal.text.data()); };
    std::stable_sort(literals_.begin(), literals_.end(),
                     [&](const auto& a, const auto& b) { return bucket(a) < bucket(b); });
    for (const Literal& literal : literals_)
        ++begins_[bucket(literal) + 1];
    for (std::size_t i = 1; i < begins_.size(); ++i)
        begins_[i] += begins_[i - 1];
}

LiteralFilter::Set LiteralFilter::candidates(std::string_view text) const {
    Set found = always_;
    std::string lowered(text);
    std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
    for (std::size_t at = 0; at + shortest <= lowered.size(); ++at) {
        const std::size_t bucket = bucket_of(lowered.data() + at);
        for (std::uint32_t i = begins_[bucket]; i < begins_[bucket + 1]; ++i) {
            const Literal& literal = literals_[i];
            if (lowered.compare(at, literal.text.size(), literal.text) != 0) continue;
            for (const std::uint32_t expression : literal.expressions)
                add(found, expression);
        }
    }
    return found;
}

}  // namespace penstock::processors
