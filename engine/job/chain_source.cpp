#include "engine/job/chain_source.h"

#include <utility>

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/error.h"

namespace penstock::job {

namespace {

class Chain final : public io::Source {
  public:
    explicit Chain(std::vector<ChainPart> parts) : parts_(std::move(parts)) {}

    bool read(io::RecordBatch& out, std::size_t max_records, std::size_t max_bytes) override {
        for (; at_ < parts_.size(); next_part()) {
            ChainPart& part = opened(at_);
            if (!part.source->read(out, max_records, max_bytes)) continue;
            cut(out, part.last_offset);
            if (out.records.empty()) continue;
            read_ += out.records.size();
            out.end_position = position();
            return true;
        }
        out.clear();
        out.end_position = position();
        return false;
    }

    std::string position() const override {
        std::string text;
        document::JsonWriter json(text);
        json.object([&] {
            json.member("kind", "chain");
            json.member("at", at_);
            json.member("read", read_);
            json.member("finished", finished_total_);
            json.member_array("parts", [&] {
                for (const ChainPart& part : parts_)
                    json.value(part.source ? part.source->position() : std::string());
            });
        });
        return text;
    }

    void seek(std::string_view position) override {
        document::Arena arena;
        const document::Array& positions = parse(position, arena);
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            if (i < at_) {
                parts_[i].source.reset();
            } else if (const std::string_view there = positions[i].as_string(); !there.empty()) {
                opened(i).source->seek(there);
            }
        }
    }

    io::Progress progress() const override {
        io::Progress progress;
        progress.records_read = read_;
        progress.records_total = finished_total_;
        for (std::size_t i = at_; i < parts_.size(); ++i) {
            const auto total = parts_[i].source ? parts_[i].source->progress().records_total
                                                : std::optional<std::uint64_t>();
            if (!total) progress.records_total.reset();
            if (progress.records_total) *progress.records_total += *total;
        }
        return progress;
    }

    void close() override {
        for (const ChainPart& part : parts_) {
            if (part.source) part.source->close();
        }
    }

  private:
    ChainPart& opened(std::size_t i) {
        if (!parts_[i].source) parts_[i].source = parts_[i].open();
        return parts_[i];
    }

    void next_part() {
        finished_total_ = read_;
        parts_[at_++].source.reset();  // its snapshot is given up
    }

    static void cut(io::RecordBatch& batch, std::uint64_t last_offset) {
        while (!batch.records.empty() && batch.records.back().offset > last_offset)
            batch.records.pop_back();
    }

    /// Takes over what the position says of the chain; the answer are the positions of its parts.
    const document::Array& parse(std::string_view position, document::Arena& arena) {
        document::Value root;
        document::JsonError error;
        const bool is_object = parser_.parse(position, arena, root, error) && root.is_object();
        const document::Value* kind = is_object ? root.as_object().get("kind") : nullptr;
        const bool is_chain = kind != nullptr && kind->is_string() && kind->as_string() == "chain";
        const document::Value* positions = is_chain ? root.as_object().get("parts") : nullptr;
        if (positions == nullptr || !positions->is_array() ||
            positions->as_array().size() != parts_.size()) {
            throw Error("cannot resume: the saved position does not belong to these " +
                        std::to_string(parts_.size()) + " indices");
        }
        const auto number = [&](const char* name) {
            const document::Value* value = root.as_object().get(name);
            return value != nullptr && value->is_integer() ? value->as_integer() : 0;
        };
        at_ = static_cast<std::size_t>(number("at"));
        read_ = static_cast<std::uint64_t>(number("read"));
        finished_total_ = static_cast<std::uint64_t>(number("finished"));
        return positions->as_array();
    }

    std::vector<ChainPart> parts_;
    std::size_t at_ = 0;
    std::uint64_t read_ = 0;
    std::uint64_t finished_total_ = 0;  // of the parts before at_
    document::JsonParser parser_;
};

}  // namespace

std::unique_ptr<io::Source> make_chain(std::vector<ChainPart> parts) {
    return std::make_unique<Chain>(std::move(parts));
}

}  // namespace penstock::job
