#include "engine/io/sorted_source.h"

#include <algorithm>
#include <utility>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/io/query_node.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

constexpr std::size_t kWindowBytes = 16UL << 20U;
constexpr std::size_t kSmallestWindow = 100;
/// In the order of the documents a window costs no more than what it holds, and others search
/// between two.
constexpr std::size_t kDocumentWindow = 10'000;

/// Documents whose sequence numbers lie in a range.
class SeqNoMatcher final : public Matcher {
  public:
    SeqNoMatcher(std::int64_t after, std::int64_t until) : after_(after), until_(until) {}
    bool match(DocumentView& document, double& score) const override {
        score = 1;
        return document.seq_no() > after_ && document.seq_no() <= until_;
    }

  private:
    std::int64_t after_;
    std::int64_t until_;
};

/// An index as one slice reads it.
struct Slice {
    std::string index;
    std::string created;  ///< tells an index from a later one of the same name
    std::shared_ptr<IndexSnapshot> snapshot;
    std::shared_ptr<const Query> filter;
    std::int64_t after = -1;  ///< sequence numbers above this
    std::int64_t until = -1;  ///< and up to this
};

/// What one slice reads. A part of the query, for what an alias hides has no children either, but
/// what other slices read has.
class SliceNode final : public QueryNode {
  public:
    /// Borrowed.
    explicit SliceNode(const std::vector<Slice>& slices) : slices_(slices) {}
    MatcherPtr prepare(const Preparation& preparation) const override {
        for (const Slice& slice : slices_) {
            if (slice.index == preparation.index.name())
                return std::make_unique<SeqNoMatcher>(slice.after, slice.until);
        }
        return make_none()->prepare(preparation);
    }

  private:
    const std::vector<Slice>& slices_;
};

/// What a window holds is too large.
struct WindowTooLarge {};

void write_value(document::JsonWriter& json, const SortValue& value) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) {
        json.value(*whole);
    } else if (const auto* number = std::get_if<double>(&value)) {
        json.value(*number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        json.value(*text);
    } else {
        json.null();
    }
}

class SortedSource final : public Source {
  public:
    SortedSource(std::vector<Slice> slices, const SortedOptions& options)
        : slices_(std::move(slices)),
          query_(options.query),
          keys_(options.sort),
          window_(std::max(options.window, kSmallestWindow)) {
        in_document_order_ =
            keys_.size() == 1 && keys_[0].kind == SortKey::Kind::document && !keys_[0].descending;
        if (in_document_order_) window_ = std::min(window_, kDocumentWindow);
        const auto is_document = [](const SortKey& key) {
            return key.kind == SortKey::Kind::document;
        };
        // Equal documents need an order too, or a window would begin somewhere among them.
        if (std::none_of(keys_.begin(), keys_.end(), is_document))
            keys_.push_back({.kind = SortKey::Kind::document});
        fetch();
    }

    bool read(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) override {
        out.clear();
        max_records = std::max<std::size_t>(max_records, 1);
        while (out.records.empty() && fetch())
            take(out, max_records, max_bytes);
        read_ += out.records.size();
        out.end_position = position();
        if (out.records.empty()) close();
        return !out.records.empty();
    }

    std::string position() const override {
        std::string text;
        document::JsonWriter json(text);
        json.object([&] {
            json.member("kind", "sorted");
            json.member("read", read_);
            json.member("total", total_);
            if (after_) {
                json.member_array("after", [&] {
                    for (const SortValue& value : *after_)
                        write_value(json, value);
                });
            }
            json.member_array("parts", [&] {
                for (const Slice& slice : slices_) {
                    json.object([&] {
                        json.member("index", slice.index);
                        json.member("created", slice.created);
                        json.member("after", slice.after);
                        json.member("until", slice.until);
                    });
                }
            });
        });
        return text;
    }

    void seek(std::string_view position) override {
        document::Arena arena;
        document::JsonParser parser;
        document::JsonError error;
        document::Value root;
        if (!parser.parse(position, arena, root, error) || !root.is_object() ||
            text_member(root, "kind") != "sorted")
            refuse("the saved position is none of a sorted reading");
        if (read_number(root, "read") > 0 && sorts_by_score())
            refuse("documents are sorted by their score, which changes with the index");
        seek_parts(root);
        read_ = static_cast<std::uint64_t>(read_number(root, "read"));
        total_ = static_cast<std::uint64_t>(read_number(root, "total"));
        after_.reset();
        if (const document::Value* after = root.as_object().get("after");
            after != nullptr && after->is_array()) {
            after_.emplace();
            for (const document::Value& value : after->as_array())
                after_->push_back(sort_value(value, ValueType::unknown));
            if (after_->size() != keys_.size()) refuse("the saved position has another order");
        }
        hits_.clear();
        next_ = 0;
        finished_ = false;
        counted_ = true;
    }

    Progress progress() const override {
        Progress progress;
        progress.records_read = read_;
        progress.records_total = std::max(read_, total_);
        return progress;
    }

    void close() override {
        for (Slice& slice : slices_)
            slice.snapshot.reset();
        hits_.clear();
        finished_ = true;
    }

  private:
    [[noreturn]] static void refuse(const std::string& why) {
        throw Error("cannot resume: " + why + "; start anew");
    }

    static std::string text_member(const document::Value& object, const char* name) {
        const document::Value* value = object.as_object().get(name);
        return value != nullptr && value->is_string() ? std::string(value->as_string())
                                                      : std::string();
    }

    static std::int64_t read_number(const document::Value& object, const char* name) {
        const document::Value* value = object.as_object().get(name);
        return value != nullptr && value->is_integer() ? value->as_integer() : 0;
    }

    void seek_parts(const document::Value& root) {
        const document::Value* parts = root.as_object().get("parts");
        if (parts == nullptr || !parts->is_array() || parts->as_array().size() != slices_.size())
            refuse("the saved position does not belong to these indices");
        for (std::size_t i = 0; i < slices_.size(); ++i) {
            const document::Value& saved = parts->as_array()[i];
            Slice& slice = slices_[i];
            if (!saved.is_object() || text_member(saved, "index") != slice.index)
                refuse("the saved position does not belong to index " + slice.index);
            if (text_member(saved, "created") != slice.created)
                refuse("index " + slice.index + " was deleted and made again");
            slice.after = read_number(saved, "after");
            slice.until = read_number(saved, "until");
        }
    }

    bool sorts_by_score() const {
        return std::any_of(keys_.begin(), keys_.end(),
                           [](const SortKey& key) { return key.kind == SortKey::Kind::score; });
    }

    /// Looks up the next window when this one is done. False when there is none.
    bool fetch() {
        if (finished_) return false;
        if (next_ < hits_.size()) return true;
        for (;;) {
            try {
                look_up();
                break;
            } catch (const WindowTooLarge&) {
                window_ = std::max(window_ / 2, kSmallestWindow);
            }
        }
        finished_ = hits_.empty();
        return !finished_;
    }

    DocumentSearch search_of_slices() const {
        DocumentSearch search;
        search.query = Query::filtered(
            query_, {std::make_shared<Query>(std::make_shared<SliceNode>(slices_))});
        search.sort = keys_;
        search.size = window_;
        return search;
    }

    /// The next window in the order of the documents: the search begins behind the last one and
    /// ends with the window.
    void go_on_in_order() {
        const std::int64_t last = std::get<std::int64_t>(after_->front());
        DocumentSearch search = search_of_slices();
        search.terminate_after = window_;
        hits_.clear();
        next_ = 0;
        auto part = static_cast<std::size_t>(last >> kPartShift);
        std::int64_t after = last - (static_cast<std::int64_t>(part) << kPartShift);
        for (; part < slices_.size() && hits_.empty(); ++part, after = -1) {
            std::vector<SearchPart> parts(slices_.size());
            parts[part].snapshot = slices_[part].snapshot;
            parts[part].filter = slices_[part].filter;
            parts[part].after = std::max(after, slices_[part].after);
            hits_ = std::move(search_documents(parts, search).hits);
        }
    }

    void look_up() {
        if (in_document_order_ && counted_ && after_) return go_on_in_order();
        std::vector<SearchPart> parts;
        for (const Slice& slice : slices_) {
            SearchPart& part = parts.emplace_back();
            part.snapshot = slice.snapshot;
            part.filter = slice.filter;
        }
        DocumentSearch search = search_of_slices();
        search.after = after_;
        search.on_memory = [this](std::size_t bytes) {
            if (bytes > kWindowBytes && window_ > kSmallestWindow) throw WindowTooLarge{};
        };
        hits_.clear();
        next_ = 0;
        FoundDocuments found = search_documents(parts, search);
        hits_ = std::move(found.hits);
        if (!std::exchange(counted_, true)) total_ = found.total;
    }

    /// Appends documents of one index, in order.
    void take(RecordBatch& out, std::size_t max_records, std::size_t max_bytes) {
        const std::size_t part = hits_[next_].part;
        out.origins.assign(1, "index:" + slices_[part].index);
        for (; next_ < hits_.size() && hits_[next_].part == part &&
               out.records.size() < max_records &&
               (out.records.empty() || out.buffer.size() < max_bytes);
             ++next_) {
            after_ = std::move(hits_[next_].sort);
            append(slices_[part], hits_[next_].seq_no, out);
        }
    }

    static void append(const Slice& slice, std::int64_t seq_no, RecordBatch& out) {
        auto document = slice.snapshot->document(seq_no, true);
        if (!document) return;
        Record& record = out.records.emplace_back();
        record.begin = out.buffer.size();
        record.size = document->source.size();
        record.offset = static_cast<std::uint64_t>(seq_no);
        record.version = document->version;
        record.id = std::move(document->id);
        record.index = slice.index;
        record.routing = std::move(document->routing);
        out.buffer += document->source;
    }

    std::vector<Slice> slices_;
    std::shared_ptr<const Query> query_;
    std::vector<SortKey> keys_;
    std::size_t window_;
    std::vector<FoundDocument> hits_;              ///< of the window
    std::size_t next_ = 0;                         ///< in `hits_`
    std::optional<std::vector<SortValue>> after_;  ///< of what was read last
    bool in_document_order_ = false;
    bool finished_ = false;
    bool counted_ = false;  ///< `total_` is known
    std::uint64_t read_ = 0;
    std::uint64_t total_ = 0;
};

/// The share of an index that one slice of several has: a range of sequence numbers.
void cut(Slice& slice, std::size_t number, std::size_t count, std::int64_t last_seq_no) {
    const std::int64_t end = slice.snapshot->max_seq_no() + 1;
    const auto bound = [&](std::size_t i) {
        return static_cast<std::int64_t>(static_cast<__int128>(end) * static_cast<std::int64_t>(i) /
                                         static_cast<std::int64_t>(count)) -
               1;
    };
    slice.after = bound(number);
    slice.until =
        std::min(number + 1 < count ? bound(number + 1) : std::numeric_limits<std::int64_t>::max(),
                 last_seq_no);
}

}  // namespace

std::vector<std::unique_ptr<Source>> open_sorted(IndexStore& store, const SortedOptions& options) {
    std::vector<Slice> whole;
    for (const SortedPart& part : options.parts) {
        Slice& slice = whole.emplace_back();
        slice.index = part.index;
        slice.created = store.info(part.index).created;
        slice.snapshot = store.searchable(part.index);
        slice.filter = part.filter;
    }
    std::vector<std::unique_ptr<Source>> sources;
    for (std::size_t i = 0; i < options.slices; ++i) {
        std::vector<Slice> slices = whole;
        for (std::size_t k = 0; k < slices.size(); ++k)
            cut(slices[k], i, options.slices, options.parts[k].last_seq_no);
        sources.push_back(std::make_unique<SortedSource>(std::move(slices), options));
    }
    return sources;
}

}  // namespace penstock::io
