#include "tools/serve/reindex_record.h"

#include "engine/document/json_writer.h"
#include "engine/runtime/error.h"
#include "tools/serve/json_body.h"

namespace penstock::serve {

using document::JsonWriter;

std::string write_remote_record(const io::RemoteAddress& address) {
    std::string out;
    JsonWriter json(out);
    json.object([&] { json.member("remote", address.text()); });
    return out;
}

std::string write_record(const ReindexOrigin& origin, const ReindexPlan& plan) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.member("kind", static_cast<int>(origin.kind));
        json.member("index", origin.index);
        json.member_object("parameters", [&] {
            for (const std::string& name : origin.query.names())
                json.member(name, origin.query.text(name));
        });
        json.member("body", origin.body);
        json.member_array("indices", [&] {
            for (const std::string& index : plan.indices)
                json.value(index);
        });
        json.member_object("last_offsets", [&] {
            for (const auto& [index, offset] : plan.last_offsets)
                json.member(index, offset);
        });
        json.member_object("filters", [&] {
            for (const auto& [index, filters] : plan.filters) {
                json.member_array(index, [&, list = &filters] {
                    for (const std::string& filter : *list)
                        json.value(filter);
                });
            }
        });
        json.member("dest", plan.dest);
        json.member("slices", plan.slices);
        json.member("confined", plan.confined);
        json.member("as_searched", plan.as_searched);
    });
    return out;
}

namespace {

std::string text_member(const JsonBody& body, const char* name) {
    const document::Value* value = body.find(name);
    if (value == nullptr || !value->is_string()) throw Error("its record is damaged");
    return std::string(value->as_string());
}

std::int64_t integer_member(const JsonBody& body, const char* name) {
    const document::Value* value = body.find(name);
    if (value == nullptr || !value->is_integer()) throw Error("its record is damaged");
    return value->as_integer();
}

}  // namespace

void read_record(const std::string& text, ReindexOrigin& origin, ReindexPlan& plan) {
    JsonBody body;
    body.parse(text);
    if (body.find("remote") != nullptr)
        throw Error("it reads from the remote [" + text_member(body, "remote") +
                    "], whose scroll has ended and whose credentials are not kept");
    origin.kind = static_cast<ReindexKind>(integer_member(body, "kind"));
    origin.index = text_member(body, "index");
    origin.body = text_member(body, "body");
    plan.dest = text_member(body, "dest");
    plan.slices = static_cast<std::size_t>(integer_member(body, "slices"));
    const auto flag = [&](const char* name) {  // earlier versions have none
        const document::Value* value = body.find(name);
        return value != nullptr && value->is_boolean() && value->as_boolean();
    };
    plan.confined = flag("confined");
    plan.as_searched = flag("as_searched");
    if (const document::Value* parameters = body.find("parameters")) {
        for (const document::Member& one : parameters->as_object())
            origin.query.set(std::string(one.key()), std::string(one.value.as_string()));
    }
    if (const document::Value* indices = body.find("indices")) {
        for (const document::Value& index : indices->as_array())
            plan.indices.emplace_back(index.as_string());
    }
    if (const document::Value* filters = body.find("filters")) {
        for (const document::Member& one : filters->as_object()) {
            for (const document::Value& filter : one.value.as_array())
                plan.filters[std::string(one.key())].emplace_back(filter.as_string());
        }
    }
    if (const document::Value* offsets = body.find("last_offsets")) {
        for (const document::Member& one : offsets->as_object())
            plan.last_offsets[std::string(one.key())] =
                static_cast<std::uint64_t>(one.value.as_integer());
    }
}

}  // namespace penstock::serve
