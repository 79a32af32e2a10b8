#include "engine/job/batch.h"

#include <limits>

namespace penstock::job {

using document::Document;
using document::FieldPath;
using document::Meta;
using document::Value;

namespace {

std::string_view string_or_empty(Value value) {
    return value.is_string() ? value.as_string() : std::string_view();
}

std::int64_t integer_or(Value value, std::int64_t otherwise) {
    return value.is_integer() ? value.as_integer() : otherwise;
}

/// An id is text; a number or boolean is taken as it is written.
bool to_id(Value value, std::string& out) {
    if (value.is_null() || value.is_array() || value.is_object()) return false;
    document::append_java_string(value, out);
    return !out.empty();
}

/// The line of a record of one line is told by its location.
std::string reason(const document::JsonError& error, std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF"))
        return "a byte order mark inside the file, before the document";
    if (text.find('\n') != std::string_view::npos) return error.text();
    return error.message + " at column " + std::to_string(error.column);
}

/// The metadata field that a member of the source stands for, when it is of that field's type.
std::optional<Meta> metadata(const document::Member& member) {
    std::optional<Meta> meta = document::meta_named(member.key());
    if (!meta) return std::nullopt;
    bool is_right = member.value.is_string();
    switch (*meta) {
        case Meta::id:
            is_right =
                !member.value.is_array() && !member.value.is_object() && !member.value.is_null();
            break;
        case Meta::version:
        case Meta::if_seq_no:
        case Meta::if_primary_term:
            is_right = member.value.is_integer();
            break;
        case Meta::dynamic_templates:
            is_right = member.value.is_object();
            break;
        default:
            break;
    }
    return is_right ? meta : std::nullopt;
}

}  // namespace

void Batch::clear() {
    live_.clear();
    documents_.clear();
    results_.clear();
    items_.clear();
    item_records_.clear();
    failed_.clear();
    kept_.clear();
    output_.clear();
    dropped_ = 0;
    arena_.reset();
}

std::string_view Batch::keep(std::string text) {
    return kept_.emplace_back(std::move(text));
}

void Batch::fail(std::uint32_t record, document::Failure failure, bool parsed) {
    failed_.push_back({record, std::move(failure), parsed});
}

void Batch::parse(const BatchSettings& settings) {
    clear();
    std::optional<FieldPath> id_path;
    if (!settings.id_field.empty()) id_path = *FieldPath::parse(settings.id_field);
    ids_.assign(records.records.size(), {});
    for (std::uint32_t i = 0; i < records.records.size(); ++i) {
        parse_record(i, settings, id_path ? &*id_path : nullptr);
    }
}

void Batch::parse_record(std::uint32_t number, const BatchSettings& settings,
                         const FieldPath* id_path) {
    const io::Record& record = records.records[number];
    if (record.kind != io::RecordKind::document) {
        return fail(number, document::failure(record.reason, document::FailureType::parse), false);
    }
    Value source;
    document::JsonError error;
    document::JsonOptions options;
    options.borrow_text = true;  // the buffer lives as long as the documents
    std::string_view text = records.text(record);
    if (settings.filter) text = keep(settings.filter(std::string(text)));
    if (!parser_.parse(text, arena_, source, error, options)) {
        return fail(number, document::failure(reason(error, text), document::FailureType::parse),
                    false);
    }
    if (!source.is_object()) {
        return fail(number,
                    document::failure("a document must be a JSON object, found " +
                                          std::string(source.is_array()    ? "an array"
                                                      : source.is_string() ? "a string"
                                                      : source.is_null()   ? "null"
                                                                           : "a scalar"),
                                      document::FailureType::parse),
                    false);
    }
    Document& made = documents_.emplace_back(arena_);
    made.original = records.text(record);
    made.slot = number;
    if (settings.metadata_in_source) {
        take_metadata(made, source.as_object());
    } else {
        made.set_source(source);
    }
    set_metadata(made, record, settings);
    if (id_path != nullptr) {
        std::string id;
        const Value* field = made.find(*id_path);
        if (field == nullptr || !to_id(*field, id)) {
            documents_.pop_back();
            return fail(number,
                        document::failure(
                            "field [" + id_path->text() +
                            "] gives no _id: it is missing, empty, or not a string or number"),
                        true);
        }
        made.set_meta(Meta::id, Value::string(id, arena_));
    }
    if (settings.make_ids && made.meta(Meta::id).is_null()) {
        made.set_meta(Meta::id, Value::string(records.stable_id(record), arena_));
    }
    ids_[number] = string_or_empty(made.meta(Meta::id));
    made.commit();
    live_.push_back(&made);
}

void Batch::set_metadata(Document& made, const io::Record& record, const BatchSettings& settings) {
    if (!record.id.empty()) made.set_meta(Meta::id, Value::string(record.id));
    if (!record.routing.empty()) made.set_meta(Meta::routing, Value::string(record.routing));
    if (settings.routing != Routing::keep) {
        made.set_meta(Meta::routing, settings.routing == Routing::fixed
                                         ? Value::string(settings.routing_value)
                                         : Value::null());
    }
    if (record.version >= 0) made.set_meta(Meta::version, Value::integer(record.version));
    if (settings.in_place) {
        made.set_meta(Meta::index, Value::string(record.index));
        made.set_meta(Meta::if_seq_no, Value::integer(static_cast<std::int64_t>(record.offset)));
        made.set_meta(Meta::if_primary_term, Value::integer(1));
    } else if (!settings.honour_index || made.meta(Meta::index).is_null()) {
        made.set_meta(Meta::index, Value::string(settings.index));
    }
}

/// Metadata members of the source (`_id`, `_routing`, ...) become metadata; a search hit's or
/// dump's `_source` becomes the source. A metadata member of the wrong type stays in the source.
void Batch::take_metadata(Document& made, const document::Object& source) {
    made.set_source(Value::object(&source));
    const Value* inner = nullptr;
    std::size_t taken = 0;
    for (const document::Member& member : source) {
        if (!member.key().starts_with('_')) continue;
        if (member.key() == "_source" && member.value.is_object()) inner = &member.value;
        if (auto meta = metadata(member)) {
            std::string id;
            bool convert = *meta == Meta::id && to_id(member.value, id);
            made.set_meta(*meta, convert ? Value::string(id, arena_) : member.value);
            ++taken;
        }
    }
    if (inner != nullptr) return made.set_source(*inner);
    if (taken == 0) return;
    auto* rest = arena_.make<document::Object>();
    rest->reserve(source.size() - taken, arena_);
    for (const document::Member& member : source) {
        if (metadata(member)) continue;
        rest->push_back(member.name(), member.value, arena_);
    }
    made.set_source(Value::object(rest));
}

void Batch::render(const BatchSettings& settings) {
    // Texts first, then views on them: the buffer grows while they are written.
    std::vector<std::pair<std::size_t, std::size_t>> texts;
    std::vector<Document*> done;
    for (std::size_t i = 0; i < live_.size(); ++i) {
        pipeline::ExecutionResult& result = results_[i];
        if (result.fate == pipeline::Fate::failed) {
            fail(live_[i]->slot, std::move(result.failure), true);
        } else if (result.fate == pipeline::Fate::dropped) {
            ++dropped_;
        } else if (Value id = live_[i]->meta(Meta::id); id.is_string() && id.as_string().empty()) {
            fail(live_[i]->slot, document::failure("if _id is specified it must not be empty"),
                 true);
        } else if (const char* moved = settings.in_place ? moved_by(*live_[i]) : nullptr) {
            fail(live_[i]->slot,
                 document::failure("the pipeline has changed [" + std::string(moved) +
                                   "] of a document that is updated where it is: use a reindex"),
                 true);
        } else {
            std::size_t begin = output_.size();
            document::write_json(live_[i]->source(), output_);
            texts.emplace_back(begin, output_.size() - begin);
            done.push_back(live_[i]);
        }
    }
    for (std::size_t i = 0; i < done.size(); ++i) {
        Document& one = *done[i];
        io::WriteItem item;
        item.op = settings.op;
        std::string_view op = string_or_empty(one.meta(Meta::op_type));
        if (op == "create") item.op = io::WriteOp::create;
        if (op == "index") item.op = io::WriteOp::index;
        item.index = string_or_empty(one.meta(Meta::index));
        item.id = string_or_empty(one.meta(Meta::id));
        item.routing = string_or_empty(one.meta(Meta::routing));
        item.version_type = settings.version_type;
        if (item.version_type != io::VersionType::internal)
            item.version = integer_or(one.meta(Meta::version), -1);
        item.if_seq_no = integer_or(one.meta(Meta::if_seq_no), -1);
        item.if_primary_term = integer_or(one.meta(Meta::if_primary_term), -1);
        item.source = std::string_view(output_).substr(texts[i].first, texts[i].second);
        items_.push_back(item);
        item_records_.push_back(one.slot);
    }
}

/// The metadata by which a document is another one than its record now; null when it is the same.
const char* Batch::moved_by(const Document& done) const {
    if (string_or_empty(done.meta(Meta::id)) != ids_[done.slot]) return "_id";
    if (string_or_empty(done.meta(Meta::index)) != records.records[done.slot].index)
        return "_index";
    return nullptr;
}

io::DeadDocument Batch::dead_letter(const FailedDocument& failed) {
    const io::Record& record = records.records[failed.record];
    io::DeadDocument dead;
    dead.id = ids_[failed.record].empty() ? std::string_view(record.id) : ids_[failed.record];
    dead.index = record.index;
    dead.routing = record.routing;
    (failed.parsed ? dead.source : dead.raw) = records.text(record);
    dead.location = keep(records.location(record));
    dead.type = document::type_name(failed.failure.type);
    dead.message = failed.failure.reason;
    dead.pipeline = failed.failure.pipeline;
    dead.processor_type = failed.failure.processor_type;
    dead.processor_tag = failed.failure.processor_tag;
    return dead;
}

}  // namespace penstock::job
