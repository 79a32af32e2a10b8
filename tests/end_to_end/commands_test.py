"""Every command but reindex (reindex_test.py), as people and scripts call it."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import unittest

from tool import PENSTOCK, PLUGINS, ROOT, ToolTest

COMMANDS = [
    "run", "reindex", "simulate", "lint", "test",
    "inspect", "inspect processors", "inspect schema", "inspect reference", "inspect plugins",
    "search",
    "index", "index list", "index get", "index count", "index delete", "index optimize",
    "deployment", "deployment list", "deployment stats",
    "model", "model list",
    "completion",
]

CLEAN = """\
description: Brings hosts into shape
processors:
  - rename: {field: hostname, target_field: host.name}
  - lowercase: {field: host.name, tag: lower}
  - convert: {field: count, type: integer, ignore_missing: true}
"""

FAULTY = """\
processors:
  - set: {feld: a, value: 1}
  - lowercas: {field: b}
  - drop
"""


def lines(documents):
    return "".join(json.dumps(document) + "\n" for document in documents)


class Help(ToolTest):
    def test_version(self):
        self.assertRegex(self.penstock("--version").out, r"^penstock \d+\.\d+\.\d+\n$")

    def test_help_names_every_command_and_the_exit_codes(self):
        text = self.penstock("--help").out
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^ +{command.split()[0]}\b", command)
        for code in ("0", "1", "2", "3", "130"):
            self.assertRegex(text, rf"(?m)^ +{code} +\w", code)
        self.assertIn("Examples:", text)

    def test_each_command_has_help(self):
        for command in COMMANDS:
            with self.subTest(command):
                done = self.penstock(*command.split(), "--help")
                self.assertIn("Usage: penstock " + command, done.out)
                self.assertIn("--help", done.out)
                self.assertEqual(done.err, "")
                if " " not in command:
                    self.assertIn("Examples:\n", done.out)
                if command != "completion":
                    self.assertIn("--config", done.out)

    def test_a_wrong_command_line_exits_with_2(self):
        for arguments in ([], ["nonsense"], ["run"], ["run", "clean.yml", "extra"], ["run", "clean.yml", "--nonsense"],
                          ["run", "clean.yml", "--format", "xml"], ["simulate", "clean.yml"], ["search"],
                          ["search", "speeches"], ["search", "speeches", "x", "--k", "0"],
                          ["search", "speeches", "x", "--hybrid"], ["index"], ["index", "get", "speeches"],
                          ["index", "burn", "speeches"], ["inspect"], ["deployment"], ["model"],
                          ["completion"], ["completion", "tcsh"]):
            with self.subTest(" ".join(arguments)):
                done = self.penstock(*arguments, code=2)
                self.assertEqual(done.out, "")
                self.assertNotEqual(done.err, "")


class WithoutModel(ToolTest):
    """Nothing of libtorch is loaded until a model is needed: it takes seconds and hundreds of megabytes."""

    def libraries(self, *arguments, stdin=b""):
        log = self.path("ld")
        done = subprocess.run([PENSTOCK, *arguments], cwd=self.folder, input=stdin, capture_output=True, timeout=120,
                              env={**os.environ, "LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": log})
        self.assertEqual(done.returncode, 0, done.stderr)
        text = ""
        for name in os.listdir(self.folder):
            if name.startswith("ld."):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    text += file.read()
                os.remove(self.path(name))
        self.assertIn("libc.so", text)  # the log is there
        return text

    def test_the_program_is_not_linked_with_libtorch(self):
        linked = subprocess.run(["ldd", PENSTOCK], capture_output=True, text=True, check=True).stdout
        self.assertIn("libc.so", linked)
        for library in ("libtorch", "libc10"):
            self.assertNotIn(library, linked)

    def test_commands_without_a_model_do_not_load_it(self):
        self.write("clean.yml", CLEAN)
        for arguments in (["--version"], ["lint", "clean.yml"], ["inspect", "processors"], ["inspect", "plugins"],
                          ["deployment", "list"], ["index", "list"]):
            with self.subTest(" ".join(arguments)):
                self.assertNotIn("libtorch", self.libraries(*arguments))
        self.assertNotIn("libtorch", self.libraries("run", "clean.yml", stdin=b'{"hostname":"A"}\n'))

    def test_a_pipeline_with_inference_loads_it(self):
        self.write("embed.yml", "processors: [{inference: {model_id: ingest, input_output: "
                                "{input_field: t, output_field: v}}}]")
        self.assertIn("libtorch", self.libraries("run", "embed.yml", stdin=b'{"t":"hello"}\n'))


class Run(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("clean.yml", CLEAN)

    def test_a_document(self):
        done = self.penstock("run", "clean.yml", stdin='{"hostname":"WEB-1","count":"12"}\n')
        self.assertEqual(done.out, '{"count":12,"host":{"name":"web-1"}}\n')
        self.assertEqual(done.err, "")

    def test_order_is_kept(self):
        count = 25_000
        text = lines({"n": n, "hostname": "X" * (n * 7919 % 97)} for n in range(count))
        done = self.penstock("run", "clean.yml", stdin=text)
        self.assertEqual([json.loads(line)["n"] for line in done.out.splitlines()], list(range(count)))

    def test_the_last_line_needs_no_end(self):
        self.assertEqual(self.penstock("run", "clean.yml", stdin='{"hostname":"A"}').out, '{"host":{"name":"a"}}\n')

    def test_nothing_in_nothing_out(self):
        for text in ("", "\n", "\n \n\r\n"):
            done = self.penstock("run", "clean.yml", stdin=text)
            self.assertEqual((done.out, done.err), ("", ""))

    def test_blank_lines_and_carriage_returns_are_no_documents(self):
        done = self.penstock("run", "clean.yml", stdin='{"hostname":"A"}\r\n\r\n\n{"hostname":"B"}\r\n')
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n{"host":{"name":"b"}}\n')

    def test_numbers_and_text_come_out_as_they_came_in(self):
        kept = ('"a":9223372036854775807,"b":18446744073709551616,"c":123456789012345678901234567890,"d":1.0,"e":-0.0,'
                '"f":0.1,"g":1e300,"h":3.141592653589793238462643383279,"i":-5,"j":null,"k":"Ä€😀\\n\\"","l":[],"m":{}')
        self.write("set.yml", "processors: [{set: {field: z, value: 1}}]")
        done = self.penstock("run", "set.yml", stdin="{" + kept + "}\n")
        got = done.out.strip()
        self.assertTrue(got.startswith("{") and got.endswith(',"z":1}'), got)
        for wanted, found in zip(json.loads("{" + kept + "}", parse_int=str, parse_float=str).items(),
                                 json.loads(got, parse_int=str, parse_float=str).items()):
            name = wanted[0]
            if name in "eg":  # the same number; its spelling is the writer's
                self.assertEqual(float(wanted[1]), float(found[1]))
                self.assertIn("e", found[1].lower() + "e" if name == "e" else found[1].lower())
            else:
                self.assertEqual(wanted, found)

    def test_failing_documents_are_told_and_the_others_go_on(self):
        text = lines([{"hostname": "A"}, {"other": 1}, {"hostname": "B", "count": "x"}, {"hostname": "C"}])
        done = self.penstock("run", "clean.yml", stdin=text, code=3)
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n{"host":{"name":"c"}}\n')
        told = done.err.splitlines()
        self.assertEqual(len(told), 2, done.err)
        self.assertRegex(told[0], r"^penstock: .*:2: \[rename\] field \[hostname\] doesn't exist$")
        self.assertRegex(told[1], r"^penstock: .*:3: \[convert\] unable to convert \[x\] to integer$")

    def test_a_tag_is_told(self):
        done = self.penstock("run", "clean.yml", stdin='{"hostname":1}\n', code=3)
        self.assertIn("[lowercase:lower]", done.err)

    def test_broken_lines_are_told_and_the_others_go_on(self):
        text = b'{"hostname":"A"}\n{"hostname":\nnot json\n[1]\n{"a":"\xff"}\n{"hostname":"B"} x\n{"hostname":"C"}\n'
        done = self.penstock("run", "clean.yml", stdin=text, code=3)
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n{"host":{"name":"c"}}\n')
        self.assertEqual([int(re.search(r":(\d+): ", line).group(1)) for line in done.err.splitlines()], [2, 3, 4, 5, 6])

    def test_dead_letter(self):
        text = lines([{"hostname": "A"}, {"_id": "7", "other": 1}]) + "not json\n"  # told in the order of the input
        done = self.penstock("run", "clean.yml", "--dead-letter", "failed.dead-letter.ndjson", stdin=text, code=3)
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n')
        self.assertEqual(done.err, "")
        dead = self.read("failed.dead-letter.ndjson")
        self.assertEqual(len(dead), 2)
        self.assertEqual(dead[0]["document"]["source"], {"_id": "7", "other": 1})
        self.assertEqual(dead[0]["document"]["id"], "7")
        self.assertTrue(dead[0]["location"].endswith(":2"))
        self.assertEqual(dead[0]["error"]["message"], "field [hostname] doesn't exist")
        self.assertEqual(dead[0]["error"]["processor_type"], "rename")
        self.assertEqual(dead[0]["error"]["pipeline"], "clean")
        self.assertEqual(dead[1]["document"]["raw"], "not json")

    def test_a_dead_letter_can_be_fed_back(self):
        self.penstock("run", "clean.yml", "--dead-letter", "f.dead-letter.ndjson",
                      stdin=lines([{"host": "A"}, {"host": "B"}]), code=3)
        self.write("repaired.yml", "processors: [{lowercase: {field: host}}]")
        done = self.penstock("run", "repaired.yml", "--source", "f.dead-letter.ndjson")
        self.assertEqual(done.out, '{"host":"a"}\n{"host":"b"}\n')

    def test_stop_on_failure(self):
        text = lines([{"hostname": "A"}, {"other": 1}, {"hostname": "C"}])
        done = self.penstock("run", "clean.yml", "--stop-on-failure", stdin=text, code=1)
        self.assertIn("field [hostname] doesn't exist", done.err)
        self.assertIn(":2 failed", done.err)
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n')

    def test_stop_on_failure_without_failures(self):
        done = self.penstock("run", "clean.yml", "--stop-on-failure", stdin='{"hostname":"A"}\n')
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n')

    def test_stop_on_failure_and_a_dead_letter_exclude_each_other(self):
        self.penstock("run", "clean.yml", "--stop-on-failure", "--dead-letter", "x.ndjson", code=2)

    def test_statistics(self):
        text = lines([{"hostname": "A", "count": "1"}, {"hostname": "B", "count": "x"}])
        done = self.penstock("run", "clean.yml", "--stats", stdin=text, code=3)
        rows = [line.split() for line in done.err.splitlines() if not line.startswith("penstock:")]
        self.assertEqual(rows[0], ["pipeline", "count", "time", "failed"])
        counts = {row[0]: (row[1], row[-1]) for row in rows[1:]}
        self.assertEqual(counts["clean"], ("2", "1"))
        self.assertEqual(counts["rename"], ("2", "0"))
        self.assertEqual(counts["convert"], ("2", "1"))

    def test_ids_stay_with_their_documents(self):
        done = self.penstock("run", "clean.yml", stdin='{"_id":"7","hostname":"A"}\n')
        self.assertEqual(json.loads(done.out), {"_id": "7", "host": {"name": "a"}})

    def test_dropped_documents_are_no_failures(self):
        self.write("drop.yml", "processors: [drop: {}]")
        done = self.penstock("run", "drop.yml", stdin='{"a":1}\n')
        self.assertEqual((done.out, done.err), ("", ""))

    def test_a_pipeline_by_id_and_in_json(self):
        self.write("upper.json", '{"processors": [{"uppercase": {"field": "a"}}]}')
        for name in ("upper", "upper.json"):
            self.assertEqual(self.penstock("run", name, stdin='{"a":"x"}\n').out, '{"a":"X"}\n')

    def test_called_pipelines(self):
        self.write("outer.yml", "processors: [{pipeline: {name: inner}}, {set: {field: outer, value: true}}]")
        self.write("inner.yml", "processors: [{set: {field: inner, value: true}}]")
        self.assertEqual(self.penstock("run", "outer.yml", stdin="{}\n").out, '{"inner":true,"outer":true}\n')

    def test_other_sources(self):
        self.write("in.csv", 'hostname,count\n"WEB, 1",5\nB,6\n')
        done = self.penstock("run", "clean.yml", "--source", "in.csv")
        self.assertEqual([json.loads(line) for line in done.out.splitlines()],
                         [{"count": 5, "host": {"name": "web, 1"}}, {"count": 6, "host": {"name": "b"}}])
        done = self.penstock("run", "clean.yml", "--source", "nowhere.ndjson", code=1)
        self.assertIn("nowhere.ndjson", done.err)

    def test_a_reader_that_goes_away_ends_it(self):
        process = subprocess.Popen([PENSTOCK, "run", "clean.yml"], cwd=self.folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        with self.assertRaises(BrokenPipeError):
            for _ in range(100):
                process.stdin.write(b'{"hostname":"A"}\n' * 10_000)
        _, errors = process.communicate(timeout=60)
        self.assertIn(process.returncode, (1, -signal.SIGPIPE), errors)

    def test_what_comes_in_goes_out_before_the_end(self):
        """A pipe stays open for hours: documents must not wait until it is closed."""
        process = subprocess.Popen([PENSTOCK, "run", "clean.yml"], cwd=self.folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        watchdog = threading.Timer(20, process.kill)
        watchdog.start()
        with process:
            for _ in range(2):
                process.stdin.write(b'{"hostname":"A"}\n')
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b'{"host":{"name":"a"}}\n')
        watchdog.cancel()
        self.assertEqual(process.returncode, 0)

    def test_unknown_pipelines(self):
        done = self.penstock("run", "nonsense", code=1)
        self.assertIn("there is no pipeline [nonsense]", done.err)
        self.assertEqual(done.out, "")

    def test_all_mistakes_of_a_pipeline_at_once(self):
        self.write("faulty.yml", FAULTY)
        done = self.penstock("run", "faulty.yml", stdin='{"a":1}\n', code=1)
        self.assertEqual(done.out, "")
        for place in ("faulty.yml:2:11", "faulty.yml:3:5", "faulty.yml:4:5"):
            self.assertIn(place, done.err)

    def test_unknown_deployments(self):
        self.write("embed.yml", "processors: [{inference: {model_id: ingst, input_output: "
                                "{input_field: t, output_field: v}}}]")
        done = self.penstock("run", "embed.yml", stdin="{}\n", code=1)
        self.assertIn("ingst", done.err)
        self.assertIn("ingest", done.err)

    def test_embeddings(self):
        self.write("embed.yml", "processors: [{inference: {model_id: ingest, input_output: "
                                "{input_field: t, output_field: v}}}]")
        done = self.penstock("run", "embed.yml", stdin=lines({"t": f"text number {n % 5}"} for n in range(50)))
        vectors = [json.loads(line)["v"] for line in done.out.splitlines()]
        self.assertEqual([len(vector) for vector in vectors], [512] * 50)
        self.assertAlmostEqual(sum(x * x for x in vectors[0]), 1, places=4)
        self.assertEqual(vectors[0], vectors[5])
        self.assertNotEqual(vectors[0], vectors[1])


class Simulate(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("clean.yml", CLEAN)

    def json(self, *arguments, **others):
        return json.loads(self.penstock("simulate", *arguments, "--json", **others).out)

    def test_the_difference(self):
        done = self.penstock("simulate", "clean.yml", '{"hostname":"WEB-1","kept":true}')
        changed = [line for line in done.out.splitlines() if line[0] in "+-"]
        self.assertTrue(any(line.startswith("-") and "WEB-1" in line for line in changed), done.out)
        self.assertTrue(any(line.startswith("+") and "web-1" in line for line in changed), done.out)
        self.assertFalse(any("_version" in line or "_index" in line for line in changed), done.out)
        self.assertNotIn("\x1b", done.out)

    def test_verbose_shows_each_step(self):
        done = self.penstock("simulate", "clean.yml", '{"hostname":"WEB-1"}', "--verbose")
        order = [done.out.index(name) for name in ("rename", "lowercase:lower", "convert")]
        self.assertEqual(order, sorted(order))
        self.assertIn("(no change)", done.out[order[2]:])

    def test_the_reference_s_answer(self):
        answer = self.json("clean.yml", '{"hostname":"WEB-1"}', "--timestamp", "2024-05-06T07:08:09.123Z")
        self.assertEqual(answer, {"docs": [{"doc": {
            "_index": "_index", "_id": "_id", "_version": "-3", "_source": {"host": {"name": "web-1"}},
            "_ingest": {"timestamp": "2024-05-06T07:08:09.123Z"}}}]})

    def test_the_reference_s_verbose_answer(self):
        answer = self.json("clean.yml", '{"_index":"i","_id":"1","_source":{"hostname":"A","count":"x"}}', "--verbose",
                           code=3)
        rename, lowercase, convert = answer["docs"][0]["processor_results"]
        self.assertEqual(rename["processor_type"], "rename")
        self.assertEqual(rename["status"], "success")
        self.assertEqual(rename["doc"]["_index"], "i")
        self.assertEqual(rename["doc"]["_source"], {"host": {"name": "A"}, "count": "x"})
        self.assertEqual(rename["doc"]["_ingest"]["pipeline"], "clean")
        self.assertEqual(lowercase["tag"], "lower")
        self.assertEqual(convert["status"], "error")
        self.assertEqual(convert["error"]["type"], "illegal_argument_exception")
        self.assertEqual(convert["error"]["reason"], "unable to convert [x] to integer")
        self.assertEqual(convert["error"]["root_cause"],
                         [{"type": "illegal_argument_exception", "reason": "unable to convert [x] to integer"}])
        self.assertNotIn("doc", convert)

    def test_ignored_failures_in_the_verbose_answer(self):
        self.write("ignore.yml", "processors: [{lowercase: {field: x, ignore_failure: true}}, {drop: {}}]")
        ignored, dropped = self.json("ignore.yml", '{"a":1}', "--verbose")["docs"][0]["processor_results"]
        self.assertEqual(ignored["status"], "error_ignored")
        self.assertEqual(ignored["ignored_error"]["error"]["type"], "illegal_argument_exception")
        self.assertEqual(ignored["doc"]["_source"], {"a": 1})
        self.assertEqual(dropped["status"], "dropped")

    def test_documents_in_all_forms(self):
        wanted = [{"host": {"name": "a"}}, {"host": {"name": "b"}}]
        docs = '[{"_source":{"hostname":"A"}},{"_source":{"hostname":"B"}}]'
        self.write("docs.json", '{"docs":' + docs + "}")
        self.write("docs.ndjson", '{"hostname":"A"}\n{"hostname":"B"}\n')
        for arguments, stdin in ((['{"hostname":"A"}', '{"hostname":"B"}'], ""), ([docs], ""),
                                 (['{"docs":' + docs + "}"], ""), (["docs.json"], ""), (["docs.ndjson"], ""),
                                 (["-"], '{"hostname":"A"}\n{"hostname":"B"}\n')):
            with self.subTest(arguments):
                answer = self.json("clean.yml", *arguments, stdin=stdin)
                self.assertEqual([one["doc"]["_source"] for one in answer["docs"]], wanted)

    def test_several_documents_are_told_apart(self):
        done = self.penstock("simulate", "clean.yml", '{"hostname":"A"}', '{"x":1}', '{"hostname":"C"}', code=3)
        parts = re.split(r"document \d\n", done.out)
        self.assertEqual(len(parts), 4, done.out)
        self.assertIn("field [hostname] doesn't exist", parts[2])
        self.assertIn("[rename]", parts[2])
        self.assertIn("[clean]", parts[2])
        self.assertIn('"c"', parts[3])

    def test_a_failing_document_among_others_in_json(self):
        answer = self.json("clean.yml", '{"hostname":"A"}', '{"x":1}', code=3)
        self.assertIn("doc", answer["docs"][0])
        self.assertEqual(answer["docs"][1]["error"]["reason"], "field [hostname] doesn't exist")
        self.assertEqual(answer["docs"][1]["error"]["processor_type"], "rename")

    def test_dropped_documents(self):
        self.write("drop.yml", "processors: [{drop: {}}]")
        self.assertEqual(self.json("drop.yml", '{"a":1}'), {"docs": [None]})
        self.assertIn("dropped", self.penstock("simulate", "drop.yml", '{"a":1}').out)

    def test_what_is_no_document(self):
        for text in ("{", '{"a":}', '{"a":1} x'):
            done = self.penstock("simulate", "clean.yml", text, code=1)
            self.assertIn("not JSON", done.err)
        done = self.penstock("simulate", "clean.yml", "nowhere.json", code=1)
        self.assertIn("nowhere.json", done.err)
        done = self.penstock("simulate", "clean.yml", self.folder, code=1)
        self.assertIn(self.folder, done.err)

    def test_embeddings(self):
        self.write("embed.yml", "processors: [{inference: {model_id: ingest, input_output: "
                                "{input_field: t, output_field: v}}}]")
        answer = self.json("embed.yml", '{"t":"hello"}')
        self.assertEqual(len(answer["docs"][0]["doc"]["_source"]["v"]), 512)


class Lint(ToolTest):
    def test_fine(self):
        self.write("clean.yml", CLEAN)
        self.assertEqual(self.penstock("lint", "clean.yml").out, "1 pipeline is fine\n")
        self.assertEqual(json.loads(self.penstock("lint", "clean.yml", "--json").out), [])

    def test_all_mistakes_with_their_places(self):
        self.write("faulty.yml", FAULTY)
        done = self.penstock("lint", "faulty.yml", code=1)
        self.assertEqual(done.out, "")
        told = done.err.splitlines()
        self.assertTrue(all(re.match(r"faulty\.yml:\d+:\d+: error: ", line) for line in told), done.err)
        self.assertIn("[feld] is not known (did you mean [field]?)", done.err)
        self.assertIn("lowercas", done.err)
        self.assertIn("(did you mean [lowercase]?)", done.err)
        self.assertIn("write it as a map: drop: {}", done.err)

    def test_json(self):
        self.write("faulty.yml", FAULTY)
        found = json.loads(self.penstock("lint", "faulty.yml", "--json", code=1).out)
        one = next(one for one in found if "[feld]" in one["message"])
        self.assertEqual((one["severity"], one["file"], one["line"], one["column"], one["processor"], one["hint"]),
                         ("error", "faulty.yml", 2, 11, "set", "did you mean [field]?"))

    def test_folders_and_ids(self):
        os.mkdir(self.path("more"))
        self.write("more/a.yml", CLEAN)
        self.write("more/b.yml", FAULTY)
        self.write("more/notes.txt", "not a pipeline")
        self.assertIn("more/b.yml:2:11", self.penstock("lint", "more", code=1).err)
        self.assertEqual(self.penstock("lint", "more/a.yml", "web_requests").out, "2 pipelines are fine\n")

    def test_all_configured_ones(self):
        self.assertRegex(self.penstock("lint").out, r"^\d+ pipelines are fine\n$")
        self.write("faulty.yml", FAULTY)
        self.penstock("lint", code=1)

    def test_calls_are_looked_at(self):
        self.write("outer.yml", "processors: [{pipeline: {name: inner}}]")
        self.assertIn("inner", self.penstock("lint", "outer.yml", code=1).err)
        self.write("inner.yml", "processors: [{pipeline: {name: outer}}]")
        self.assertIn("outer", self.penstock("lint", "outer.yml", code=1).err)
        self.write("inner.yml", "processors: []")
        self.penstock("lint", "outer.yml")

    def test_if_and_script_are_refused_with_a_reason(self):
        self.write("if.yml", "processors: [{set: {field: a, value: 1, if: ctx.a == 1}}, {script: {source: x}}]")
        told = self.penstock("lint", "if.yml", code=1).err
        self.assertIn("[if]", told)
        self.assertIn("script", told)

    def test_nothing_to_look_at(self):
        self.assertIn("nowhere.yml", self.penstock("lint", "nowhere.yml", code=1).err)
        os.mkdir(self.path("empty"))
        self.assertIn("no pipeline definitions", self.penstock("lint", "empty", code=1).err)


class Test(ToolTest):
    GOOD = CLEAN + """\
tests:
  - name: hosts in lower case
    in: {hostname: WEB-1}
    out: {host: {name: web-1}}
  - name: no host
    in: {a: 1}
    fails: field [hostname] doesn't exist
"""

    def test_passing(self):
        self.write("clean.yml", self.GOOD)
        self.assertEqual(self.penstock("test", "clean.yml").out, "2 passed, 0 failed\n")

    def test_every_kind_of_failing(self):
        self.write("clean.yml", CLEAN + """\
tests:
  - {name: wrong out, in: {hostname: A}, out: {host: {name: A}}}
  - {name: wrong field, in: {hostname: A, l: [1]}, fields: {host.name: b, nowhere: 1}, lengths: {l: 2}, absent: [host]}
  - {name: unexpected, in: {}, out: {}}
  - {name: other reason, in: {}, fails: something else}
  - {name: expected, in: {hostname: A}, fails: boom}
  - {name: expected drop, in: {hostname: A}, dropped: true}
  - {name: wrong id, in: {_id: x, _source: {hostname: A}}, meta: {_id: y}}
  - {name: right, in: {hostname: A}, out: {host: {name: a}}}
""")
        done = self.penstock("test", "clean.yml", code=1)
        self.assertIn("1 passed, 7 failed\n", done.out)
        for text in ("clean.yml:7: wrong out", '-     "name": "A"', '+     "name": "a"',
                     'field [host.name] is "a", expected "b"', "field [nowhere] is missing",
                     "field [l] has length 1, expected length 2", "field [host] is there, expected it absent",
                     "clean.yml:9: unexpected", "failed: field [hostname] doesn't exist", "expected: something else",
                     "did not fail, expected: boom", "was not dropped", 'metadata [_id] is "x", expected "y"'):
            self.assertIn(text, done.out)

    def test_json(self):
        self.write("clean.yml", self.GOOD.replace("web-1", "web-2"))
        answer = json.loads(self.penstock("test", "clean.yml", "--json", code=1).out)
        self.assertEqual((answer["passed"], answer["failed"]), (1, 1))
        first, second = answer["cases"]
        self.assertEqual((first["file"], first["line"], first["name"]), ("clean.yml", 7, "hosts in lower case"))
        self.assertEqual(len(first["problems"]), 1)
        self.assertEqual(second["problems"], [])

    def test_cases_with_mistakes(self):
        self.write("clean.yml", CLEAN + "tests:\n  - {name: x, out: {}}\n  - {in: {a: 1}}\n  - {in: {}, outt: {}}\n")
        told = self.penstock("test", "clean.yml", code=1).err
        for place in ("clean.yml:7:", "clean.yml:8:", "clean.yml:9:"):
            self.assertIn(place, told)

    def test_no_cases(self):
        self.write("clean.yml", CLEAN)
        self.assertIn("no test cases", self.penstock("test", "clean.yml", code=1).err)

    def test_a_fixed_time(self):
        self.write("clock.yml", """\
processors: [{set: {field: at, value: "{{_ingest.timestamp}}"}}]
tests: [{in: {}, timestamp: "2024-05-06T07:08:09.000Z", out: {at: "2024-05-06T07:08:09.000Z"}}]
""")
        self.penstock("test", "clock.yml")

    def test_what_ships(self):
        self.assertRegex(self.penstock("test", f"{ROOT}/pipelines").out, r"(?m)^\d+ passed, 0 failed$")


class Inspect(ToolTest):
    def test_processors(self):
        text = self.penstock("inspect", "processors").out
        for name in ("rename", "chunk", "inference", "foreach", "lookup", "uppercase_words"):
            self.assertRegex(text, rf"(?m)^{name}\b")
        specs = json.loads(self.penstock("inspect", "processors", "--json").out)
        names = [spec["name"] for spec in specs]
        self.assertEqual(names, sorted(names))
        self.assertTrue(all(spec["summary"] for spec in specs))

    def test_a_processor(self):
        text = self.penstock("inspect", "processors", "rename").out
        for word in ("target_field", "ignore_missing", "required", "on_failure"):
            self.assertIn(word, text)
        spec = json.loads(self.penstock("inspect", "processors", "rename", "--json").out)
        field = next(option for option in spec["options"] if option["name"] == "field")
        self.assertTrue(field["required"])

    def test_an_unknown_processor(self):
        done = self.penstock("inspect", "processors", "renme", code=1)
        self.assertIn("there is no processor [renme] (did you mean [rename]?)", done.err)

    def test_schema(self):
        schema = json.loads(self.penstock("inspect", "schema").out)
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        self.assertIn("processors", schema["properties"])
        self.assertIn("tests", schema["properties"])

    def test_reference_has_the_built_in_processors_alone(self):
        self.penstock("inspect", "reference", "made/reference")
        pages = set(os.listdir(self.path("made/reference")))
        self.assertLessEqual({"README.md", "rename.md", "chunk.md", "inference.md"}, pages)
        self.assertTrue(pages.isdisjoint({"lookup.md", "uppercase_words.md"}))

    def test_plugins(self):
        text = self.penstock("inspect", "plugins").out
        self.assertRegex(text, r"(?m)^lookup +1\.0\.0 +processors: lookup$")
        self.assertRegex(text, r"(?m)^torch +inference backend")
        found = {one["name"]: one for one in json.loads(self.penstock("inspect", "plugins", "--json").out)}
        self.assertEqual(found["uppercase_words"]["processors"], "uppercase_words")
        self.assertTrue(os.path.isfile(found["lookup"]["file"]))

    def test_no_plugins(self):
        self.write("bare.yml", "plugin_directories: []\n")
        self.assertNotIn("lookup", self.penstock("inspect", "processors", "--config", "bare.yml").out)


class Plugins(ToolTest):
    def test_the_samples_in_a_pipeline(self):
        done = self.penstock("run", "plugin_samples",
                             stdin='{"country":"NO","title":"on open rivers"}\n{"country":"FR"}\n', code=3)
        self.assertEqual(json.loads(done.out),
                         {"country": "NO", "title": "on open RIVERS", "country_name": "Norway"})
        self.assertIn("[uppercase_words:shout] the field to write in capitals is absent", done.err)

    def test_their_options_are_checked(self):
        self.write("wrong.yml", "processors:\n  - lookup: {field: a, tabel: {}}\n  - uppercase_words: {min_length: no}\n")
        told = self.penstock("lint", "wrong.yml", code=1).err
        for text in ("[table] required property is missing", "did you mean [table]?", "[field] required property is missing", "[min_length]"):
            self.assertIn(text, told)

    def test_a_library_that_is_no_plugin(self):
        os.mkdir(self.path("plugins"))
        self.write("plugins/broken.so", b"not a library")
        self.write("broken.yml", "plugin_directories: [plugins]\n")
        done = self.penstock("inspect", "plugins", "--config", "broken.yml", code=1)
        self.assertIn("broken.so", done.err)


class Search(ToolTest):
    """One index for all cases: embedding is what takes time here."""

    DOCUMENTS = [
        {"_id": "moon", "title": "Space", "text": "Astronauts flew a rocket to the moon and landed on its surface."},
        {"_id": "bread", "title": "Kitchen", "text": "Knead the dough, let it rise and bake the bread in a hot oven."},
        {"_id": "bank", "title": "Money", "text": "The central bank raised interest rates to slow inflation."},
        {"_id": "match", "title": "Sport", "text": "The home team won the football match in the last minute."},
    ]

    @classmethod
    def setUpClass(cls):
        cls.prepared = cls("prepare")
        ToolTest.setUp(cls.prepared)
        cls.prepared.prepare()

    @classmethod
    def tearDownClass(cls):
        ToolTest.tearDown(cls.prepared)

    def setUp(self):
        self.folder = self.prepared.folder

    def tearDown(self):
        pass

    def prepare(self):
        self.write("embed.yml", """\
processors:
  - chunk: {field: text, target_field: chunks, strategy: sentence, max_chunk_size: 50, model_id: ingest}
  - inference: {model_id: ingest, input_output: {input_field: chunks.text, output_field: chunks.embedding}}
""")
        self.write("docs.ndjson", lines(self.DOCUMENTS))
        self.penstock("reindex", "--source", "docs.ndjson", "--dest", "index:things", "--pipeline", "embed")

    def hits(self, *arguments):
        answer = json.loads(self.penstock("search", "things", *arguments, "--json").out)
        scores = [hit["_score"] for hit in answer["hits"]["hits"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        return answer["hits"]["hits"]

    def ids(self, *arguments):
        return [hit["_id"] for hit in self.hits(*arguments)]

    def test_words(self):
        self.assertEqual(self.ids("football"), ["match"])
        self.assertEqual(self.ids("zeppelin"), [])

    def test_meaning(self):
        hits = self.hits("a journey through space", "--deployment", "search", "--k", "2")
        self.assertEqual(len(hits), 2)
        self.assertEqual(hits[0]["_id"], "moon")
        self.assertIn("rocket", hits[0]["passage"]["text"])
        self.assertEqual(self.ids("soccer game", "--deployment", "search")[0], "match")
        self.assertEqual(self.ids("soccer game", "--deployment", "search", "--exact")[0], "match")

    def test_both(self):
        ids = self.ids("inflation and astronauts", "--deployment", "search", "--hybrid")
        self.assertEqual(set(ids[:2]), {"moon", "bank"})

    def test_text_for_people(self):
        text = self.penstock("search", "things", "baking", "--deployment", "search", "--k", "2").out
        self.assertRegex(text, r"^ 1\. 0\.\d{4}  bread  Kitchen\n +Knead the dough")
        self.assertIn("\n 2. ", text)
        self.assertEqual(self.penstock("search", "things", "zeppelin").out, "nothing found\n")

    def test_whole_documents(self):
        hit = self.hits("football", "--source")[0]
        self.assertEqual(hit["_index"], "things")
        self.assertEqual(hit["_source"]["title"], "Sport")
        self.assertNotIn("_source", self.hits("football")[0])

    def test_queries_from_a_file(self):
        self.write("queries.ndjson", lines([{"_id": "q1", "text": "moon"}, {"_id": "q2", "text": "bread"}]))
        done = self.penstock("search", "things", "--queries", "queries.ndjson", "--deployment", "search", "--json")
        answers = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual([(one["query_id"], one["hits"]["hits"][0]["_id"]) for one in answers],
                         [("q1", "moon"), ("q2", "bread")])
        text = self.penstock("search", "things", "--queries", "queries.ndjson").out
        self.assertRegex(text, r"(?s)^moon\n.*\n\nbread\n")
        self.write("wrong.ndjson", '{"query":"x"}\n')
        self.assertIn("[text]", self.penstock("search", "things", "--queries", "wrong.ndjson", code=1).err)

    def test_what_is_not_there(self):
        self.assertIn("there is no index [nowhere]", self.penstock("search", "nowhere", "x", code=1).err)
        told = self.penstock("search", "things", "x", "--deployment", "serch", code=1).err
        self.assertIn("no deployment [serch] is configured", told)
        self.assertIn("ingest, search", told)

    def test_deployment_statistics(self):
        answer = {one["deployment_id"]: one
                  for one in json.loads(self.penstock("deployment", "stats", "--json").out)}
        self.assertGreaterEqual(answer["ingest"]["inference_count"], 4)
        self.assertIn("peak_throughput_per_minute", answer["ingest"])
        text = self.penstock("deployment", "stats", "ingest").out
        self.assertRegex(text, r"^ingest: not running; numbers of its last run\n")
        self.assertRegex(text, r"(?m)^  inference_count +\d+$")

    def test_index_commands(self):
        self.penstock("reindex", "--source", "docs.ndjson", "--dest", "index:other")
        text = self.penstock("index", "list").out
        self.assertRegex(text, r"(?m)^things +4 +\S+ +chunks\.embedding \(4 x 512, \w+\)$")
        self.assertRegex(text, r"(?m)^other +4 +\S+ +-$")
        listed = {one["index"]: one for one in json.loads(self.penstock("index", "list", "--json").out)}
        self.assertEqual(listed["things"]["docs.count"], 4)
        self.assertEqual(listed["things"]["vectors"][0]["dims"], 512)

        self.assertEqual(self.penstock("index", "count", "other").out, "4\n")
        self.assertEqual(json.loads(self.penstock("index", "count", "other", "--json").out), {"count": 4})

        done = self.penstock("index", "get", "other", "moon", "nobody", code=1)
        found, missing = map(json.loads, done.out.splitlines())
        self.assertEqual((found["_index"], found["_id"], found["_version"], found["found"]), ("other", "moon", 1, True))
        self.assertEqual(found["_source"]["title"], "Space")
        self.assertEqual(missing, {"_index": "other", "_id": "nobody", "found": False})

        chunk = json.loads(self.penstock("index", "get", "things", "moon").out)["_source"]["chunks"][0]
        self.assertNotIn("embedding", chunk)
        whole = json.loads(self.penstock("index", "get", "things", "moon", "--vectors").out)["_source"]["chunks"][0]
        self.assertEqual(len(whole["embedding"]), 512)

        self.assertEqual(self.penstock("index", "delete", "other", "moon").out, "moon deleted\n")
        answer = self.penstock("index", "delete", "other", 'no"body', "--json", code=1).out
        self.assertEqual(json.loads(answer), {"_id": 'no"body', "result": "not_found"})
        self.assertEqual(self.penstock("index", "count", "other").out, "3\n")
        self.penstock("index", "optimize", "other")

        self.assertIn("--yes", self.penstock("index", "delete", "other", code=1).err)
        self.assertEqual(self.penstock("index", "count", "other").out, "3\n")
        self.assertEqual(self.penstock("index", "delete", "other", "--yes").out, "deleted index [other]\n")
        self.assertIn("there is no index [other]", self.penstock("index", "count", "other", code=1).err)
        for command in (["get", "other", "moon"], ["delete", "other", "--yes"], ["optimize", "other"]):
            self.assertIn("there is no index [other]", self.penstock("index", *command, code=1).err)

    def test_an_index_as_source(self):
        self.write("title.yml", "processors: [{remove: {field: [text, chunks]}}]")
        done = self.penstock("run", "title.yml", "--source", "index:things")
        self.assertEqual(sorted(json.loads(line)["title"] for line in done.out.splitlines()),
                         ["Kitchen", "Money", "Space", "Sport"])


class Nothing(ToolTest):
    """Commands in a folder where nothing has happened yet."""

    def test_indices(self):
        self.assertEqual(self.penstock("index", "list").out, "there are no indices\n")
        self.assertEqual(self.penstock("index", "list", "--json").out, "[]\n")

    def test_deployments(self):
        text = self.penstock("deployment", "list").out
        self.assertRegex(text, r"(?m)^ingest +use-lite-en +1 +1 +1024 +normal +no$")
        listed = json.loads(self.penstock("deployment", "list", "--json").out)
        self.assertEqual([one["deployment_id"] for one in listed], ["ingest", "search"])
        self.assertIn("search: has not run yet", self.penstock("deployment", "stats").out)
        self.assertEqual(self.penstock("deployment", "stats", "--json").out, "[]\n")
        self.assertIn("no deployment [nobody]", self.penstock("deployment", "stats", "nobody", code=1).err)

    def test_without_configuration(self):
        os.remove(self.path("penstock.yml"))
        self.write("clean.yml", CLEAN)
        self.assertEqual(self.penstock("run", "clean.yml", stdin='{"hostname":"A"}\n').out, '{"host":{"name":"a"}}\n')
        self.assertIn("no deployments are configured", self.penstock("deployment", "list").out)


class Models(ToolTest):
    def test_list(self):
        self.assertRegex(self.penstock("model", "list").out, r"(?m)^use-lite-en +text_embedding +\d+(\.\d)?mb +ok$")
        model = json.loads(self.penstock("model", "list", "--json").out)[0]
        self.assertEqual((model["model_id"], model["fully_defined"]), ("use-lite-en", True))
        self.assertGreater(model["model_size_bytes"], 10_000_000)

    def copy(self):
        shutil.copytree(f"{ROOT}/pipelines/models/use-lite-en", self.path("models/broken"))
        self.write("broken.yml", f"""\
model_directories: [models]
plugin_directories: [{PLUGINS}]
deployments: {{broken: {{model_id: broken}}, nowhere: {{model_id: nowhere}}}}
""")

    def test_a_truncated_model_is_incomplete(self):
        self.copy()
        with open(self.path("models/broken/model.fp16.safetensors"), "r+b") as weights:
            weights.truncate(5_000_000)
        text = self.penstock("model", "list", "--config", "broken.yml").out
        self.assertRegex(text, r"(?m)^broken .*incomplete$")
        self.assertRegex(text, r"(?m)^broken: .*model\.fp16\.safetensors")
        model = json.loads(self.penstock("model", "list", "--config", "broken.yml", "--json").out)[0]
        self.assertFalse(model["fully_defined"])
        self.assertIn("safetensors", model["reason"])
        self.write("embed.yml", "processors: [{inference: {model_id: broken, input_output: "
                                "{input_field: t, output_field: v}}}]")
        done = self.penstock("run", "embed.yml", "--config", "broken.yml", stdin='{"t":"x"}\n', code=1)
        self.assertIn("broken", done.err)
        self.assertEqual(done.out, "")

    def test_a_model_without_tokenizer_is_incomplete(self):
        self.copy()
        os.remove(self.path("models/broken/tokenizer.json"))
        self.assertRegex(self.penstock("model", "list", "--config", "broken.yml").out, r"(?m)^broken: .*tokenizer")

    def test_a_deployment_without_its_model(self):
        self.copy()
        self.write("embed.yml", "processors: [{inference: {model_id: nowhere, input_output: "
                                "{input_field: t, output_field: v}}}]")
        told = self.penstock("run", "embed.yml", "--config", "broken.yml", stdin='{"t":"x"}\n', code=1).err
        self.assertIn("nowhere", told)

    def test_no_models(self):
        self.write("bare.yml", "model_directories: []\n")
        self.assertIn("there are no models", self.penstock("model", "list", "--config", "bare.yml").out)
        self.assertEqual(self.penstock("model", "list", "--config", "bare.yml", "--json").out, "[]\n")


class Configuration(ToolTest):
    def test_all_mistakes_at_once_with_their_places(self):
        self.write("wrong.yml", """\
data_directry: data
allowed_processors: many
index: {exact_limit: -1, survive_power_loss: maybe}
deployments:
  ingest:
    model_id: use-lite-en
    number_of_allocations: 0
    threads_per_allocation: 3
    queue_capacity: 2000000
    cache_size: big
    colour: red
  search: use-lite-en
model_directories: 5
""")
        done = self.penstock("model", "list", "--config", "wrong.yml", code=1)
        told = done.err.splitlines()
        self.assertEqual(done.out, "")
        self.assertTrue(all(re.match(r"wrong\.yml:\d+:\d+: error: ", line) for line in told), done.err)
        for place, text in (("1:1", "did you mean [data_directory]?"), ("2:21", "allowed_processors"),
                            ("3:22", "index.exact_limit"), ("3:46", "true or false"), ("7:28", "number_of_allocations"),
                            ("8:29", "power of 2"), ("9:21", "queue_capacity"), ("10:17", "cache_size"),
                            ("11:13", "colour"), ("12:11", "a map of parameters"), ("13:20", "model_directories")):
            self.assertTrue(any(f":{place}:" in line and text in line for line in told), f"{place} {text}\n{done.err}")

    def test_which_file(self):
        self.write("other.yml", "deployments: {mine: {model_id: use-lite-en}}\n")
        self.assertIn("mine", self.penstock("deployment", "list", "--config", "other.yml").out)
        done = subprocess.run([PENSTOCK, "deployment", "list"], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, "PENSTOCK_CONFIG": "other.yml"}, check=True)
        self.assertIn("mine", done.stdout)
        self.assertIn("nowhere.yml", self.penstock("model", "list", "--config", "nowhere.yml", code=1).err)
        self.write("empty.yml", "")
        self.penstock("model", "list", "--config", "empty.yml")

    def test_relative_paths_are_relative_to_the_file(self):
        os.makedirs(self.path("there/pipelines"))
        self.write("there/pipelines/clean.yml", CLEAN)
        self.write("there/penstock.yml", "pipeline_directories: [pipelines]\n")
        done = self.penstock("run", "clean", "--config", "there/penstock.yml", stdin='{"hostname":"A"}\n')
        self.assertEqual(done.out, '{"host":{"name":"a"}}\n')

    def test_too_many_threads(self):
        self.write("many.yml", f"""\
model_directories: [{ROOT}/pipelines/models]
plugin_directories: [{PLUGINS}]
allowed_processors: 2
deployments:
  ingest: {{model_id: use-lite-en, number_of_allocations: 4}}
""")
        self.write("embed.yml", "processors: [{inference: {model_id: ingest, input_output: "
                                "{input_field: t, output_field: v}}}]")
        told = self.penstock("run", "embed.yml", "--config", "many.yml", stdin='{"t":"x"}\n', code=1).err
        self.assertIn("ingest", told)
        self.assertIn("2", told)


class Installed(ToolTest):
    def test_program_plugins_and_model_find_each_other(self):
        """`cmake --install` gives a tree that can lie anywhere and needs no paths in its configuration."""
        build = os.path.dirname(PENSTOCK)
        subprocess.run(["cmake", "--install", build, "--prefix", self.path("usr")], capture_output=True, check=True)
        self.write("penstock.yml", "deployments: {ingest: {model_id: use-lite-en, timeout: 5m}}\n")
        self.write("embed.yml", "processors: [{inference: {model_id: ingest, input_output: "
                                "{input_field: t, output_field: v}}}]")
        done = subprocess.run([self.path("usr/bin/penstock"), "run", "embed.yml"], cwd=self.folder,
                              input='{"t":"hello"}\n', capture_output=True, text=True, timeout=600,
                              env={**os.environ, "PENSTOCK_CONFIG": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["v"]), 512)


class Completion(ToolTest):
    def complete(self, line):
        """What bash offers at the end of `line`."""
        script = f"""
source <("{PENSTOCK}" completion bash)
complete -p penstock > /dev/null
COMP_WORDS=({line}{' ""' if line.endswith(' ') else ''})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_penstock
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        done = subprocess.run(["bash", "-uc", script], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), script)
        return done.stdout.split()

    def test_bash(self):
        self.write("clean.yml", CLEAN)
        self.assertLessEqual({command.split()[0] for command in COMMANDS}, set(self.complete("penstock ")))
        self.assertEqual([word for word in self.complete("penstock re") if word == "reindex"], ["reindex"])
        self.assertLessEqual({"list", "get", "count", "delete", "optimize"}, set(self.complete("penstock index ")))
        self.assertEqual(self.complete("penstock reindex --dea"), ["--dead-letter"])
        self.assertEqual(self.complete("penstock index delete x --y"), ["--yes"])
        self.assertIn("--deployment", self.complete("penstock search speeches text --de"))
        self.assertIn("clean.yml", self.complete("penstock lint cl"))
        self.assertEqual(self.complete("penstock lint --nothing"), [])

    def test_other_shells(self):
        zsh = self.penstock("completion", "zsh").out
        self.assertTrue(zsh.startswith("autoload -U +X bashcompinit && bashcompinit\n"))
        subprocess.run(["bash", "-n"], input=self.penstock("completion", "bash").out, text=True, check=True)
        fish = self.penstock("completion", "fish").out
        self.assertIn("complete -c penstock -n '__fish_use_subcommand' -a reindex", fish)
        self.assertIn("__fish_seen_subcommand_from reindex' -l dead-letter", fish)
        for shell, text in (("zsh", zsh), ("fish", fish)):
            if shutil.which(shell):
                subprocess.run([shell, "-n"], input=text, text=True, check=True)


if __name__ == "__main__":
    unittest.main()
