#include "engine/job/task_record.h"

#include "engine/document/json.h"
#include "engine/document/json_writer.h"

namespace penstock::job {

namespace {

using document::Object;
using document::Value;
using std::chrono::system_clock;

constexpr std::int64_t format_version = 1;

std::int64_t to_millis(system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

system_clock::time_point from_millis(std::int64_t millis) {
    return system_clock::time_point(std::chrono::milliseconds(millis));
}

std::int64_t integer(const Object& object, std::string_view name) {
    const Value* value = object.get(name);
    return value != nullptr && value->is_integer() ? value->as_integer() : 0;
}

bool flag(const Object& object, std::string_view name) {
    const Value* value = object.get(name);
    return value != nullptr && value->is_boolean() && value->as_boolean();
}

std::string text(const Object& object, std::string_view name) {
    const Value* value = object.get(name);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

/// A member as JSON; empty when absent.
std::string json(const Object& object, std::string_view name) {
    std::string out;
    if (const Value* value = object.get(name)) document::write_json(*value, out);
    return out;
}

void read_spec(const Object& object, TaskSpec& spec) {
    spec.action = text(object, "action");
    spec.description = text(object, "description");
    spec.cancellable = flag(object, "cancellable");
    spec.parent = static_cast<std::uint64_t>(integer(object, "parent"));
    spec.keep_result = flag(object, "keep_result");
    spec.resume = json(object, "resume");
    const Value* headers = object.get("headers");
    if (headers == nullptr || !headers->is_object()) return;
    for (const document::Member& header : headers->as_object()) {
        if (header.value.is_string())
            spec.headers.emplace_back(header.key(), header.value.as_string());
    }
}

}  // namespace

std::string write_task_record(const TaskRecord& record) {
    const TaskInfo& info = record.info;
    std::string out;
    document::JsonWriter json(out);
    const auto raw = [&](const char* name, const std::string& value) {
        if (!value.empty()) json.member_raw(name, value);
    };
    json.object([&] {
        json.member("version", format_version);
        json.member("number", info.number);
        json.member("state", info.completed ? "finished" : "running");
        json.member("action", info.spec.action);
        json.member("description", info.spec.description);
        json.member("cancellable", info.spec.cancellable);
        json.member("parent", info.spec.parent);
        json.member("keep_result", info.spec.keep_result);
        json.member_object("headers", [&] {
            for (const auto& [name, value] : info.spec.headers)
                json.member(name, value);
        });
        json.member("start", to_millis(info.start));
        json.member("ended", to_millis(record.ended));
        json.member("running_nanos", info.running.count());
        json.member("cancelled", info.cancelled);
        raw("resume", info.spec.resume);
        raw("status", info.status);
        raw("response", info.outcome.response);
        raw("error", info.outcome.error);
    });
    return out;
}

std::optional<TaskRecord> read_task_record(std::string_view text_of_it) {
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    Value root;
    if (!parser.parse(text_of_it, arena, root, error) || !root.is_object()) return std::nullopt;
    const Object& object = root.as_object();
    if (integer(object, "version") != format_version) return std::nullopt;
    TaskRecord record;
    TaskInfo& info = record.info;
    info.number = static_cast<std::uint64_t>(integer(object, "number"));
    info.completed = text(object, "state") == "finished";
    read_spec(object, info.spec);
    info.start = from_millis(integer(object, "start"));
    record.ended = from_millis(integer(object, "ended"));
    info.running = std::chrono::nanoseconds(integer(object, "running_nanos"));
    info.cancelled = flag(object, "cancelled");
    info.status = json(object, "status");
    info.outcome.response = json(object, "response");
    info.outcome.error = json(object, "error");
    return record;
}

}  // namespace penstock::job
