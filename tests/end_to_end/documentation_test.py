"""The documentation says what the program does: its examples run, its options, files and processors are there.

YAML blocks are pipelines (linted, and tested when they have cases) or configurations (loaded). `sh` blocks are run, in
the order of the page, in a folder that looks like a clone after tools/quickstart has built it.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import unittest

from tool import PENSTOCK, ROOT, ToolTest

# Lines of `sh` blocks that install, build or need what a test cannot have; what they do is tested elsewhere.
NOT_RUN = {
    "tools/quickstart",
    "tools/test",
    "cmake --preset release",
    "cmake --build --preset release",
    "ctest --preset release",
    "cmake --install build/release --prefix /usr/local",
}

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] + sorted(
    os.path.relpath(page, ROOT) for page in glob.glob(f"{ROOT}/docs/*.md"))

SPEECHES = [
    {"_id": "1961", "president": "John F Kennedy", "year": 1961, "title": "Space",
     "text": "We choose to send astronauts to the moon before this decade is out. It will not be one man going."},
    {"_id": "1975", "president": "Gerald R Ford", "year": 1975, "title": "Economy",
     "text": "Inflation and rising prices hurt working families. Millions of Americans are out of work."},
    {"_id": "1979", "president": "Jimmy Carter", "year": 1979, "title": "Peace",
     "text": "Egypt and Israel will sign a peace treaty. The path to peace was hard."},
]


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def blocks(page, language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", read(page))


def spans(page):
    """The pieces of code within sentences and tables."""
    without_blocks = re.sub(r"(?ms)^```.*?^```$", "", read(page))
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", without_blocks)]


def table_names(page, header):
    """First column of the table whose first column is called `header`: the names in backquotes."""
    lines = read(page).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |"))
    names = []
    for line in lines[at + 2:]:
        if not line.startswith("|"):
            break
        names += re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[1])
    return names


class Examples(ToolTest):
    def setUp(self):
        super().setUp()
        os.remove(self.path("penstock.yml"))
        os.mkdir(self.path("pipelines"))
        for file in glob.glob(f"{ROOT}/pipelines/*.*"):
            shutil.copy(file, self.path("pipelines"))
        with open(self.path("pipelines/penstock.yml"), encoding="utf-8") as file:
            patient = file.read().replace("model_id: use-lite-en\n", "model_id: use-lite-en\n    timeout: 5m\n")
        self.write("pipelines/penstock.yml", patient)  # the machine may be busy with other tests
        for folder in ("models", "corpora"):
            os.symlink(f"{ROOT}/pipelines/{folder}", self.path(f"pipelines/{folder}"))
        os.mkdir(self.path("build"))
        os.symlink(os.path.dirname(PENSTOCK), self.path("build/release"))
        self.write("speeches.ndjson", "".join(json.dumps(speech) + "\n" for speech in SPEECHES))
        self.server = None

    def serve(self):
        """A server beside the page's commands, in their folder."""
        process = subprocess.Popen([PENSTOCK, "serve", "--port", "0"], cwd=self.folder, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, "PENSTOCK_CONFIG": "pipelines/penstock.yml"})
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.terminate)
        self.server = process.stdout.readline().split()[-1]
        for deployment in ("ingest", "search"):  # a reader is slower than their start
            started = f"curl 'localhost:9200/_ml/trained_models/{deployment}/_stats' | grep -q '\"state\":\"started\"'"
            self.sh(f"until {started}; do sleep 0.2; done")

    def sh(self, script):
        script = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n' + script
        if self.server:
            script = script.replace("localhost:9200", self.server)
        path = f"{os.path.dirname(PENSTOCK)}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, capture_output=True, text=True,
                              timeout=300, env={**os.environ, "PATH": path, "PENSTOCK_CONFIG": "pipelines/penstock.yml"})
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def prepare(self, page):
        """What a reader has done before this page."""
        if page == "docs/http-api.md":
            return self.serve()
        if page != "README.md":
            self.sh("penstock reindex --source speeches.ndjson --dest index:speeches --pipeline speeches --quiet")
        if page == "docs/reindex.md":  # a dead letter of documents that the pipeline, now repaired, can take
            self.write("faulty.yml", "processors: [{fail: {message: not yet}}]")
            self.sh("penstock run faulty.yml --dead-letter failed.dead-letter.ndjson < speeches.ndjson || [ $? = 3 ]")

    def check_yaml(self, page, number, block):
        first = re.match(r"# file: (\S+)\n", block)
        name = first.group(1) if first else f"example_{number}.yml"
        self.write(name, block)
        if re.search(r"(?m)^processors:", block):
            self.sh(f"penstock lint {name}")
            if re.search(r"(?m)^tests:", block):
                self.assertIn(" 0 failed", self.sh(f"penstock test {name}"))
        elif re.search(r"(?m)^(deployments|data_directory):", block):
            self.sh(f"penstock deployment list --config {name}")
        else:
            self.fail(f"{page}: neither a pipeline nor a configuration:\n{block}")

    def test_pages(self):
        ran = 0
        for page in PAGES:
            yaml = blocks(page, "yaml")
            scripts = ["\n".join(line for line in block.splitlines() if line.strip() not in NOT_RUN)
                       for block in blocks(page, "sh")]
            scripts = [script for script in scripts if script.strip()]
            if not yaml and not scripts:
                continue
            with self.subTest(page):
                self.tearDown()
                self.setUp()
                self.prepare(page)
                for number, block in enumerate(yaml):
                    self.check_yaml(page, number, block)
                shown = "".join(self.sh(script) for script in scripts)
                if page == "docs/http-api.md":
                    self.assertIn('"title":"A Brief History of Time"', shown)
                    self.doCleanups()
                ran += len(yaml) + len(scripts)
        self.assertGreaterEqual(ran, 8)

    def test_searches_find_what_they_should(self):
        self.prepare("docs/inference.md")
        commands = [line for line in "\n".join(blocks("docs/inference.md", "sh")).splitlines() if " search " in line]
        first = [self.sh(command).splitlines()[0] for command in commands]
        self.assertRegex(first[0], r"^ 1\. [\d.]+  1961  Space$")
        self.assertRegex(first[1], r"^ 1\. [\d.]+  1979  Peace$")

    def test_the_list_of_what_is_not_run_is_not_stale(self):
        lines = {line.strip() for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()}
        self.assertEqual(NOT_RUN - lines, set())


class Names(ToolTest):
    """Everything that the documentation names is there."""

    def help(self, *command):
        return self.penstock(*command, "--help").out

    def subcommands(self, *command):
        section = re.search(r"(?ims)^subcommands:\n(.*?)(\n\n|\Z)", self.help(*command))
        return re.findall(r"(?m)^ +([a-z]+) ", section.group(1)) if section else []

    def check_command(self, text):
        """`penstock index list|get --flag VALUE`: the commands and the options, not the values."""
        words = text.split()[1:]
        command, checked = [], False
        while words and re.fullmatch(r"[a-z]+(\|[a-z]+)*", words[0]):
            choices = words.pop(0).split("|")
            known = self.subcommands(*command)
            if not known:
                break
            for choice in choices:
                self.assertIn(choice, known, text)
            command.append(choices[0])
            checked = True
        if checked:
            for option in re.findall(r"(?<!\S)--[a-z-]+", " ".join(words)):
                self.assertIn(option, self.help(*command), text)

    def test_commands(self):
        for page in PAGES + ["plugins/sdk/README.md"]:
            for span in spans(page):
                if span.startswith("penstock "):
                    with self.subTest(f"{page}: {span}"):
                        self.check_command(span)

    def test_every_command_is_documented(self):
        documented = {span.split()[1] for span in spans("docs/commands.md") if span.startswith("penstock ")}
        known = self.subcommands()
        self.assertGreater(len(known), 8)
        self.assertEqual(set(known) - documented, set())

    def test_options(self):
        reindex = self.help("reindex")
        for span in spans("docs/reindex.md"):
            for option in re.findall(r"(?<!\S)--[a-z-]+", span):
                self.assertIn(option, reindex)
        for option in re.findall(r"(?m)^ +(--[a-z-]+)", reindex):
            if option not in ("--help", "--config"):
                self.assertIn(option, read("docs/reindex.md"))

    def test_configuration(self):
        values = {"deployments": "{}", "allowed_processors": "1", "cpu_threads": "1", "index.exact_limit": "5",
                  "index.survive_power_loss": "false", "user_agent.cache_size": "0"}
        names = table_names("docs/commands.md", "option")
        self.assertGreater(len(names), 7)
        text, nested = "", {}
        for name in names:
            outer, _, inner = name.partition(".")
            value = values.get(name, "x")
            if inner:
                nested.setdefault(outer, []).append(f"{inner}: {value}")
            else:
                text += f"{outer}: {value}\n"
        for outer, members in nested.items():
            text += f"{outer}: {{{', '.join(members)}}}\n"
        self.write("all.yml", text)
        self.penstock("deployment", "list", "--config", "all.yml")

    def test_deployment_parameters(self):
        names = table_names("docs/inference.md", "parameter")
        self.assertGreater(len(names), 9)
        nested = [name.partition(".")[2] for name in names if "." in name]
        flat = [f"{name}: '?'" for name in names if "." not in name]
        flat.append("adaptive_allocations: {" + ", ".join(f"{name}: '?'" for name in nested) + "}")
        self.write("all.yml", "deployments: {x: {" + ", ".join(flat) + "}}\n")
        told = self.penstock("deployment", "list", "--config", "all.yml", code=None).err
        self.assertNotIn("unknown parameter", told)
        self.assertNotIn("did you mean", told)

    def test_changelog(self):
        text = re.sub(r"\s+", " ", read("CHANGELOG.md"))
        self.write("bare.yml", "plugin_directories: []\n")
        specs = json.loads(self.penstock("inspect", "processors", "--json", "--config", "bare.yml").out)
        listed = re.search(r"\*\*Processors\*\*: `([^`]+)`", text).group(1).split()
        self.assertEqual(listed, sorted(spec["name"] for spec in specs))
        listed = re.search(r"\*\*Commands\*\*: `([^`]+)`", text).group(1).split()
        known = self.subcommands()
        self.assertEqual(sorted(listed), sorted(known))

    def test_exit_codes(self):
        documented = set(re.findall(r"(?m)^\| (\d+) \|", read("docs/commands.md")))
        self.assertEqual(documented, set(re.findall(r"(?m)^ +(\d+) +[a-z]", self.help())))

    def test_links(self):
        for page in PAGES + ["plugins/sdk/README.md"]:
            for target in re.findall(r"\]\(([^)#\s]+)", read(page)):
                if "://" not in target:
                    with self.subTest(f"{page}: {target}"):
                        self.assertTrue(os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)))

    def test_files(self):
        """Paths in backquotes that begin with a folder of the tree."""
        for page in PAGES:
            for span in spans(page):
                if re.fullmatch(r"(engine|processors|plugins|pipelines|tests|tools|docs)(/[\w.-]+)+/?", span):
                    with self.subTest(f"{page}: {span}"):
                        self.assertTrue(os.path.exists(os.path.join(ROOT, span)))


class Reference(ToolTest):
    def test_the_pages_are_those_that_the_program_renders(self):
        self.penstock("inspect", "reference", "rendered")
        rendered = sorted(os.listdir(self.path("rendered")))
        self.assertEqual(rendered, sorted(os.listdir(f"{ROOT}/docs/reference")))
        for page in rendered:
            with open(self.path(f"rendered/{page}"), encoding="utf-8") as file:
                self.assertEqual(file.read(), read(f"docs/reference/{page}"),
                                 f"{page} is old; run: penstock inspect reference docs/reference")


if __name__ == "__main__":
    unittest.main()
