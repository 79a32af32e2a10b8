// penstock user, penstock key: who may talk to `penstock serve`.
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "engine/document/json_writer.h"
#include "tools/penstock/command.h"
#include "tools/serve/api_error.h"
#include "tools/serve/authentication.h"
#include "tools/serve/http_message.h"
#include "tools/serve/timestamp.h"

namespace penstock::tools {

namespace {

struct Options {
    std::string name;
    std::string data;
    std::vector<std::string> indices;
    std::string expires;
    bool read_only = false;
};

serve::Credentials credentials(const CommonOptions& common, const Options& options) {
    Workspace workspace(common);
    if (!options.data.empty()) workspace.set_data_directory(options.data);
    return serve::Credentials(workspace.configuration().data_directory);
}

serve::Permissions permissions(const Options& options) {
    try {
        return serve::Permissions::of(options.read_only, options.indices);
    } catch (const serve::ApiError& error) {
        throw Error("--index: " + error.reason());
    }
}

/// Switches the terminal's echo off as long as it lives.
class NoEcho {
  public:
    NoEcho() : terminal_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
        ::termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        if (terminal_) ::tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
    ~NoEcho() {
        if (terminal_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    NoEcho(const NoEcho&) = delete;
    NoEcho& operator=(const NoEcho&) = delete;

  private:
    ::termios before_{};
    bool terminal_;
};

std::string read_password() {
    if (::isatty(STDIN_FILENO) != 0) std::fprintf(stderr, "Password: ");
    std::string password;
    {
        const NoEcho quiet;
        std::getline(std::cin, password);
    }
    if (::isatty(STDIN_FILENO) != 0) std::fprintf(stderr, "\n");
    return password;
}

int add_user(const CommonOptions& common, const Options& options) {
    serve::Credentials known = credentials(common, options);
    std::optional<serve::Permissions> limits;
    if (options.read_only || !options.indices.empty()) limits = permissions(options);
    known.put_user(options.name, read_password(), limits);
    return exit_ok;
}

int delete_user(const CommonOptions& common, const Options& options) {
    if (!credentials(common, options).remove_user(options.name))
        throw Error("there is no user [" + options.name + "]");
    return exit_ok;
}

int list_users(const CommonOptions& common, const Options& options) {
    for (const std::string& name : credentials(common, options).users())
        std::printf("%s\n", name.c_str());
    return exit_ok;
}

int create_key(const CommonOptions& common, const Options& options) {
    std::optional<std::chrono::milliseconds> lifetime;
    if (!options.expires.empty()) {
        lifetime = serve::parse_time(options.expires);
        if (!lifetime || lifetime->count() <= 0)
            throw Error("--expires must be a time such as 30d, found " + options.expires);
    }
    const serve::NewApiKey key =
        credentials(common, options)
            .create_key({options.name, "_cli", permissions(options), lifetime});
    if (common.json) {
        std::string out;
        document::JsonWriter json(out);
        json.object([&] {
            json.member("id", key.info.id);
            json.member("name", key.info.name);
            json.member("api_key", key.api_key);
            json.member("encoded", key.encoded);
        });
        std::printf("%s\n", out.c_str());
    } else {
        std::printf("%s\n", key.encoded.c_str());
        std::fprintf(stderr,
                     "id %s; send it as \"Authorization: ApiKey ...\". It is shown this once.\n",
                     key.info.id.c_str());
    }
    return exit_ok;
}

int list_keys(const CommonOptions& common, const Options& options) {
    for (const serve::ApiKeyInfo& key : credentials(common, options).keys()) {
        const std::chrono::system_clock::time_point expires{
            std::chrono::milliseconds(key.expires_millis)};
        std::printf("%s  %s  %s  %s\n", key.id.c_str(), key.name.c_str(),
                    key.permissions.summary().c_str(),
                    key.expires_millis == 0 ? "never" : serve::timestamp(expires).c_str());
    }
    return exit_ok;
}

int delete_key(const CommonOptions& common, const Options& options) {
    if (!credentials(common, options).remove_key(options.name))
        throw Error("there is no API key of id [" + options.name + "]");
    return exit_ok;
}

using Action = int (*)(const CommonOptions&, const Options&);

CLI::App* add_action(CommandLine& line, CLI::App& parent, const std::string& name,
                     const std::string& summary, const std::shared_ptr<Options>& options,
                     Action action) {
    CLI::App* command = line.add(parent, name, summary, "");
    command->add_option("--data", options->data, "Data directory; else the configuration's");
    command->callback([&line, options, action] {
        line.action = [&line, options, action] { return action(line.common, *options); };
    });
    return command;
}

void add_permissions(CLI::App* command, const std::shared_ptr<Options>& options) {
    command->add_flag("--read-only", options->read_only, "May search and get, and change nothing");
    command->add_option("--index", options->indices,
                        "Only for indices of this name (with *); may be given more than once");
}

}  // namespace

void add_security(CommandLine& line) {
    auto options = std::make_shared<Options>();
    CLI::App* user = line.app.add_subcommand("user", "Users of the HTTP API");
    user->require_subcommand(1);
    CLI::App* add = add_action(line, *user, "add",
                               "Add a user, or change the password, which is read from standard "
                               "input",
                               options, add_user);
    add->add_option("NAME", options->name)->required();
    add_permissions(add, options);
    add_action(line, *user, "list", "List the users", options, list_users);
    add_action(line, *user, "delete", "Delete a user", options, delete_user)
        ->add_option("NAME", options->name)
        ->required();
    CLI::App* key = line.app.add_subcommand("key", "API keys of the HTTP API");
    key->require_subcommand(1);
    CLI::App* create =
        add_action(line, *key, "create", "Make a key and print it", options, create_key);
    create->add_option("NAME", options->name, "What it is for")->required();
    create->add_option("--expires", options->expires, "After this time, such as 30d; else never")
        ->type_name("TIME");
    add_permissions(create, options);
    add_action(line, *key, "list", "List the keys, without their secrets", options, list_keys);
    add_action(line, *key, "delete", "Delete a key", options, delete_key)
        ->add_option("ID", options->name)
        ->required();
}

}  // namespace penstock::tools
