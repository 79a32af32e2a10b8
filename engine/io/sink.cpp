#include "engine/io/sink.h"

#include <algorithm>

#include "engine/io/append_file.h"
#include "engine/io/index.h"
#include "engine/io/json_text.h"
#include "engine/runtime/error.h"

namespace penstock::io {
namespace {

bool has_id_member(std::string_view source) {
    if (source.find("\"_id\"") == std::string_view::npos) return false;
    JsonCursor cursor(source);
    bool first = true;
    std::string_view key;
    if (!cursor.enter()) return false;
    while (cursor.next_member(first, key)) {
        if (key == "_id") return true;
        cursor.skip();
    }
    return false;
}

class FileSink final : public Sink {
  public:
    FileSink(const std::string& path, bool overwrite)
        : file_(path, overwrite ? AppendFile::Existing::replace : AppendFile::Existing::refuse) {}

    void write(std::span<const WriteItem> items, std::vector<ItemResult>& results) override {
        results.clear();
        for (const WriteItem& item : items) {
            ItemResult& result = results.emplace_back();
            result.id = item.id;
            if (item.op == WriteOp::remove) {
                result.status = 400;
                result.error_type = "illegal_argument_exception";
                result.error_reason = "a document cannot be deleted from the file " + file_.path();
                continue;
            }
            write_line(item);
            result.status = 201;
            result.result = "created";
        }
        // A reader of a pipe wants its lines now; a file waits for its buffer.
        if (file_.path() == "-") file_.flush();
    }

    void flush() override { file_.sync(); }
    std::string checkpoint() override { return file_.checkpoint(); }
    void restore(std::string_view checkpoint) override { file_.restore(checkpoint); }

  private:
    void write_line(const WriteItem& item) {
        std::string_view source = item.source;
        source.remove_prefix(std::min(source.find('{'), source.size()));
        line_.clear();
        if (item.id.empty() || has_id_member(source)) {
            line_ = source;
        } else {
            line_ = "{\"_id\":";
            append_json_string(line_, item.id);
            const bool empty = source.find_first_not_of(" \t\r\n", 1) == source.find('}');
            line_ += empty ? "" : ",";
            line_ += source.substr(std::min<std::size_t>(1, source.size()));
        }
        // Line ends cannot stand inside JSON strings, so these are white space between tokens.
        std::replace(line_.begin(), line_.end(), '\n', ' ');
        std::replace(line_.begin(), line_.end(), '\r', ' ');
        line_.push_back('\n');
        file_.append(line_);
    }

    AppendFile file_;
    std::string line_;
};

class IndexSink final : public Sink {
  public:
    IndexSink(std::shared_ptr<IndexStore> store, std::string name)
        : store_(std::move(store)), name_(std::move(name)) {
        check_index_name(name_);
    }

    void write(std::span<const WriteItem> items, std::vector<ItemResult>& results) override {
        store_->bulk(name_, items, results);
    }
    void flush() override {}
    std::string checkpoint() override { return "{\"kind\":\"index\"}"; }
    void restore(std::string_view) override {}

  private:
    std::shared_ptr<IndexStore> store_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Sink> open_sink(const SinkOptions& options) {
    constexpr std::string_view kIndexPrefix = "index:";
    const std::string& location = options.location;
    if (location.empty()) throw Error("the destination has no name; give index:NAME, a file, or -");
    if (location.starts_with(kIndexPrefix)) {
        if (options.store == nullptr) {
            throw Error("cannot write to " + location +
                        ": there is no data directory for the embedded index");
        }
        return std::make_unique<IndexSink>(options.store, location.substr(kIndexPrefix.size()));
    }
    if (location.ends_with(".gz") || location.ends_with(".zst")) {
        throw Error("cannot write compressed files: write " +
                    location.substr(0, location.rfind('.')) +
                    ", or write to - and compress the output");
    }
    return std::make_unique<FileSink>(location, options.overwrite);
}

}  // namespace penstock::io
