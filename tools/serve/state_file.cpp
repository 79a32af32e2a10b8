#include "tools/serve/state_file.h"

#include "engine/document/json.h"
#include "engine/document/json_writer.h"
#include "engine/runtime/durable_file.h"
#include "engine/runtime/error.h"

namespace penstock::serve {

namespace fs = std::filesystem;

StateFile::States StateFile::read() const {
    States states;
    if (!fs::exists(file_)) return states;
    const std::optional<std::string> text = read_file(file_);
    if (!text) throw StorageError("cannot read " + file_.native());
    document::Arena arena;
    document::JsonParser parser;
    document::JsonError error;
    document::Value value;
    if (!parser.parse(*text, arena, value, error) || !value.is_object())
        throw Error(file_.native() + " is damaged; restore or delete it: " + error.text());
    for (const document::Member& member : value.as_object())
        document::write_json(member.value, states[std::string(member.key())]);
    return states;
}

void StateFile::put(const std::string& name, std::string_view json) const {
    const FileLock lock(file_);
    States states = read();
    states.insert_or_assign(name, std::string(json));
    write(states);
}

bool StateFile::remove(const std::string& name) const {
    const FileLock lock(file_);
    States states = read();
    if (states.erase(name) == 0) return false;
    write(states);
    return true;
}

void StateFile::write(const States& states) const {
    std::string text;
    document::JsonWriter json(text);
    json.object([&] {
        for (const auto& [name, state] : states)
            json.member_raw(name, state);
    });
    text.push_back('\n');
    replace_file(file_, text);
}

}  // namespace penstock::serve
