// penstock completion: shell completion, made from the command line's own description.
#include <cstdio>
#include <map>

#include "tools/penstock/command.h"

namespace penstock::tools {

namespace {

/// "penstock index get" to the words that may follow: subcommands and long options.
void collect(const CLI::App& app, const std::string& path,
             std::map<std::string, std::string>& words) {
    std::string list;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        list += (list.empty() ? "" : " ") + command->get_name();
        collect(*command, path + " " + command->get_name(), words);
    }
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames())
            list += (list.empty() ? "--" : " --") + name;
    }
    words[path] = list;
}

void print_bash(const std::map<std::string, std::string>& words) {
    std::printf(
        "# bash completion for penstock; load it with: source <(penstock completion bash)\n"
        "_penstock() {\n"
        "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=penstock word i\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    word=\"$path ${COMP_WORDS[i]}\"\n"
        "    case \"$word\" in\n      ");
    bool first = true;
    for (const auto& [path, list] : words) {
        if (path == "penstock") continue;
        std::printf("%s\"%s\"", first ? "" : "|", path.c_str());
        first = false;
    }
    std::printf(
        ") path=\"$word\" ;;\n"
        "    esac\n"
        "  done\n"
        "  local words=\n"
        "  case \"$path\" in\n");
    for (const auto& [path, list] : words)
        std::printf("    \"%s\") words=\"%s\" ;;\n", path.c_str(), list.c_str());
    std::printf(
        "  esac\n"
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
        "  if [[ $current != -* ]]; then COMPREPLY+=($(compgen -f -- \"$current\")); fi\n"
        "  return 0\n"
        "}\n"
        "complete -o filenames -F _penstock penstock\n");
}

void print_fish(const std::map<std::string, std::string>& words) {
    std::printf(
        "# fish completion for penstock; load it with: penstock completion fish | source\n");
    for (const auto& [path, list] : words) {
        std::string inner = path == "penstock" ? "" : path.substr(9);
        std::string condition = inner.empty() ? "__fish_use_subcommand" : "";
        for (std::size_t at = 0; !inner.empty() && at < inner.size();) {
            std::size_t end = std::min(inner.find(' ', at), inner.size());
            condition += (condition.empty() ? "" : "; and ") +
                         ("__fish_seen_subcommand_from " + inner.substr(at, end - at));
            at = end + 1;
        }
        std::string rest = list;
        while (!rest.empty()) {
            std::size_t end = std::min(rest.find(' '), rest.size());
            std::string word = rest.substr(0, end);
            rest.erase(0, std::min(rest.size(), end + 1));
            bool option = word.starts_with("--");
            std::printf("complete -c penstock -n '%s' %s %s\n", condition.c_str(),
                        option ? "-l" : "-a", option ? word.c_str() + 2 : word.c_str());
        }
    }
}

}  // namespace

void add_completion(CommandLine& line) {
    auto shell = std::make_shared<std::string>();
    CLI::App* command =
        line.app.add_subcommand("completion", "Print shell completion for bash, zsh or fish");
    command->footer(
        "Examples:\n  source <(penstock completion bash)\n  penstock completion fish | source");
    command->add_option("SHELL", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->callback([&line, shell] {
        line.action = [&line, shell] {
            std::map<std::string, std::string> words;
            collect(line.app, "penstock", words);
            // zsh runs bash's completion through its own emulation.
            if (*shell == "zsh") std::printf("autoload -U +X bashcompinit && bashcompinit\n");
            *shell == "fish" ? print_fish(words) : print_bash(words);
            return static_cast<int>(exit_ok);
        };
    });
}

}  // namespace penstock::tools
