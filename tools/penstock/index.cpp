// penstock index: the embedded indices.
#include <cstdio>

#include "engine/document/json.h"
#include "tools/penstock/command.h"
#include "tools/penstock/text_layout.h"

namespace penstock::tools {

namespace {

std::string vector_text(const io::IndexInfo& info) {
    std::string out;
    for (const auto& field : info.vector_fields) {
        out += (out.empty() ? "" : ", ") + field.field + " (" + std::to_string(field.vectors) +
               " x " + std::to_string(field.dims) + ", " +
               std::string(io::similarity_name(field.similarity)) + ")";
    }
    return out.empty() ? "-" : out;
}

std::string info_json(const io::IndexInfo& info) {
    std::string out = "{\"index\":";
    document::write_json_string(info.name, out);
    out += ",\"docs.count\":" + std::to_string(info.docs) +
           ",\"store.size\":" + std::to_string(info.bytes) +
           ",\"max_seq_no\":" + std::to_string(info.max_seq_no) + ",\"creation_date\":";
    document::write_json_string(info.created, out);
    out += ",\"vectors\":[";
    for (const auto& field : info.vector_fields) {
        if (out.back() != '[') out += ',';
        out += "{\"field\":";
        document::write_json_string(field.field, out);
        out += ",\"dims\":" + std::to_string(field.dims) + ",\"similarity\":";
        document::write_json_string(io::similarity_name(field.similarity), out);
        out += ",\"count\":" + std::to_string(field.vectors) + '}';
    }
    return out + "]}";
}

int list(const CommonOptions& common) {
    Workspace workspace(common);
    auto store = workspace.indices();
    std::vector<std::vector<std::string>> rows{{"index", "docs.count", "store.size", "vectors"}};
    std::string out = "[";
    for (const std::string& name : store->names()) {
        io::IndexInfo info = store->info(name);
        rows.push_back(
            {info.name, std::to_string(info.docs), byte_size(info.bytes), vector_text(info)});
        out += (out.size() > 1 ? "," : "") + info_json(info);
    }
    if (common.json) {
        std::printf("%s]\n", out.c_str());
    } else {
        std::printf("%s", rows.size() == 1 ? "there are no indices\n" : table(rows).c_str());
    }
    return exit_ok;
}

struct Arguments {
    std::string index;
    std::vector<std::string> ids;
    bool vectors = false;
    bool yes = false;
};

void need(io::IndexStore& store, const std::string& index) {
    if (!store.exists(index))
        throw Error("there is no index [" + index +
                    "]; `penstock index list` shows those there are");
}

int get(const CommonOptions& common, const Arguments& arguments) {
    Workspace workspace(common);
    auto store = workspace.indices();
    need(*store, arguments.index);
    bool missing = false;
    auto documents = store->mget(arguments.index, arguments.ids, arguments.vectors);
    for (std::size_t i = 0; i < documents.size(); ++i) {
        std::string out = "{\"_index\":";
        document::write_json_string(arguments.index, out);
        out += ",\"_id\":";
        document::write_json_string(arguments.ids[i], out);
        if (!documents[i]) {
            missing = true;
            std::printf("%s,\"found\":false}\n", out.c_str());
            continue;
        }
        out += ",\"_version\":" + std::to_string(documents[i]->version) +
               ",\"_seq_no\":" + std::to_string(documents[i]->seq_no) +
               ",\"_primary_term\":1,\"found\":true,\"_source\":" + documents[i]->source + '}';
        std::printf("%s\n", out.c_str());
    }
    return missing ? exit_error : exit_ok;
}

int count(const CommonOptions& common, const Arguments& arguments) {
    Workspace workspace(common);
    auto store = workspace.indices();
    need(*store, arguments.index);
    auto number = static_cast<unsigned long long>(store->count(arguments.index));
    std::printf(common.json ? "{\"count\":%llu}\n" : "%llu\n", number);
    return exit_ok;
}

int remove(const CommonOptions& common, const Arguments& arguments) {
    Workspace workspace(common);
    auto store = workspace.indices();
    need(*store, arguments.index);
    if (arguments.ids.empty()) {
        if (!arguments.yes)
            throw Error("this deletes index [" + arguments.index +
                        "] with all its documents: add --yes");
        store->remove(arguments.index);
        std::printf(common.json ? "{\"acknowledged\":true}\n" : "deleted index [%s]\n",
                    arguments.index.c_str());
        return exit_ok;
    }
    std::vector<io::WriteItem> items;
    for (const std::string& id : arguments.ids)
        items.push_back({.op = io::WriteOp::remove, .id = id});
    std::vector<io::ItemResult> results;
    store->bulk(arguments.index, items, results);
    bool missing = false;
    for (const io::ItemResult& result : results) {
        missing = missing || !result.ok();
        std::string id = result.id;
        if (common.json) {
            id.clear();
            document::write_json_string(result.id, id);
        }
        std::printf(common.json ? "{\"_id\":%s,\"result\":\"%s\"}\n" : "%s %s\n", id.c_str(),
                    result.result);
    }
    return missing ? exit_error : exit_ok;
}

int optimize(const CommonOptions& common, const Arguments& arguments) {
    Workspace workspace(common);
    auto store = workspace.indices();
    need(*store, arguments.index);
    store->optimize(arguments.index);
    return exit_ok;
}

}  // namespace

void add_index(CommandLine& line) {
    CLI::App* index =
        line.add(line.app, "index", "List and look into the embedded indices, delete from them",
                 "  penstock index list\n  penstock index get speeches 1961_john_f_kennedy_d\n"
                 "  penstock index delete speeches --yes");
    index->require_subcommand(1);
    CLI::App* listing =
        line.add(*index, "list", "All indices with their sizes and vector fields", "");
    listing->callback([&line] { line.action = [&line] { return list(line.common); }; });

    using Run = int (*)(const CommonOptions&, const Arguments&);
    auto add = [&](const char* name, const char* summary, Run run) {
        auto arguments = std::make_shared<Arguments>();
        CLI::App* command = line.add(*index, name, summary, "");
        command->add_option("INDEX", arguments->index, "An index")->required();
        command->callback([&line, arguments, run] {
            line.action = [&line, arguments, run] { return run(line.common, *arguments); };
        });
        return std::pair(command, arguments);
    };
    auto [getting, get_arguments] = add("get", "Documents by id, a line of JSON each", get);
    getting->add_option("ID", get_arguments->ids, "Ids")->required();
    getting->add_flag("--vectors", get_arguments->vectors, "With their vectors");
    add("count", "Number of documents", count);
    auto [deleting, delete_arguments] =
        add("delete", "Documents by id, or the whole index", remove);
    deleting->add_option("ID", delete_arguments->ids, "Ids; none: the index itself");
    deleting->add_flag("--yes", delete_arguments->yes, "Really delete the index");
    add("optimize", "Merge the full text and build graphs for large vector fields", optimize);
}

}  // namespace penstock::tools
