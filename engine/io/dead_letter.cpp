#include "engine/io/dead_letter.h"

#include <algorithm>
#include <optional>

#include "engine/io/append_file.h"
#include "engine/io/json_text.h"
#include "engine/io/source.h"

namespace penstock::io {
namespace {

void add(std::string& out, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    // Messages may quote the faulty bytes; the file itself must stay UTF-8.
    if (is_valid_utf8(value)) {
        append_member(out, name, value);
    } else {
        append_member(out, std::string(name) + "_base64", base64(value, false));
    }
}

struct Unwrapped {
    std::string id, index, routing;
    std::optional<std::string> text;
};

Unwrapped read_document(JsonCursor& cursor, std::string_view line) {
    Unwrapped found;
    bool first = true;
    std::string_view key;
    if (cursor.kind() != JsonCursor::Kind::object || !cursor.enter()) return found;
    while (cursor.next_member(first, key)) {
        const bool is_string = cursor.kind() == JsonCursor::Kind::string;
        const std::size_t begin = cursor.offset();
        if (!is_string) {
            cursor.skip();
            if (key == "source") found.text = line.substr(begin, cursor.offset() - begin);
            continue;
        }
        std::string value = unescape(cursor.string());
        if (key == "id") {
            found.id = std::move(value);
        } else if (key == "index") {
            found.index = std::move(value);
        } else if (key == "routing") {
            found.routing = std::move(value);
        } else if (key == "raw") {
            found.text = std::move(value);
        } else if (key == "raw_base64") {
            found.text = base64_decode(value);
        }
    }
    return found;
}

}  // namespace

DeadLetter::DeadLetter(const std::string& path)
    : file_(std::make_unique<AppendFile>(path, AppendFile::Existing::append)) {}

DeadLetter::~DeadLetter() = default;

void DeadLetter::write(const DeadDocument& dead) {
    line_ = "{";
    append_member(line_, "@timestamp", timestamp_now());
    line_ += "\"document\":{";
    add(line_, "id", dead.id);
    add(line_, "index", dead.index);
    add(line_, "routing", dead.routing);
    if (!dead.source.empty()) {
        line_ += "\"source\":";
        const std::size_t begin = line_.size();
        line_ += dead.source;
        std::replace(line_.begin() + static_cast<std::ptrdiff_t>(begin), line_.end(), '\n', ' ');
        std::replace(line_.begin() + static_cast<std::ptrdiff_t>(begin), line_.end(), '\r', ' ');
        line_.push_back(',');
    } else {
        add(line_, "raw", dead.raw);
    }
    finish_object(line_);
    line_ += ",\"error\":{";
    add(line_, "type", dead.type);
    add(line_, "message", dead.message);
    add(line_, "pipeline", dead.pipeline);
    add(line_, "processor_type", dead.processor_type);
    add(line_, "processor_tag", dead.processor_tag);
    finish_object(line_);
    line_.push_back(',');
    add(line_, "location", dead.location);
    finish_object(line_);
    line_.push_back('\n');
    file_->append(line_);
}

void DeadLetter::flush() {
    file_->flush();
}
std::string DeadLetter::checkpoint() {
    return file_->checkpoint();
}
void DeadLetter::restore(std::string_view checkpoint) {
    file_->restore(checkpoint);
}

void unwrap_dead_letter(std::string& buffer, Record& record) {
    const std::string line = buffer.substr(record.begin, record.size);
    JsonCursor cursor(line);
    Unwrapped found;
    bool first = true;
    std::string_view key;
    if (cursor.kind() == JsonCursor::Kind::object && cursor.enter()) {
        while (cursor.next_member(first, key)) {
            if (key == "document") {
                found = read_document(cursor, line);
            } else {
                cursor.skip();
            }
        }
    }
    if (!cursor.finished() || !found.text) {
        record.kind = RecordKind::bad_record;
        record.reason = cursor.ok() ? "the line is no dead letter: it has no document.source"
                                    : "the line is no dead letter: " + cursor.error();
        return;
    }
    buffer.resize(record.begin);
    buffer += *found.text;
    record.size = found.text->size();
    record.id = std::move(found.id);
    record.index = std::move(found.index);
    record.routing = std::move(found.routing);
}

}  // namespace penstock::io
