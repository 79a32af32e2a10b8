"""penstock reindex: sources, destinations, ids, versions, stopping and going on, the dead letter, the response."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from tool import PENSTOCK, ROOT, ToolTest

MARK = """
processors:
  - set: {field: seen, value: "yes"}
"""

SMALL_NUMBERS_ONLY = """
processors:
  - convert: {tag: to-integer, field: n, type: integer}
"""


class ReindexTest(ToolTest):
    def corpus(self, count, name="in.ndjson", first=0):
        lines = "".join(json.dumps({"n": i, "text": f"document {i}"}) + "\n" for i in range(first, first + count))
        return self.write(name, lines)

    def reindex(self, source, dest, *more, **options):
        return self.penstock("reindex", "--source", source, "--dest", dest, "--quiet", *more, **options)

    def response(self, source, dest, *more, **options):
        return json.loads(self.penstock("reindex", "--source", source, "--dest", dest, "--json", *more, **options).out)

    def index(self, name):
        """All documents of an index, by id."""
        lines = self.reindex("index:" + name, "-").out.splitlines()
        documents = [json.loads(line) for line in lines]
        by_id = {document["_id"]: document for document in documents}
        self.assertEqual(len(by_id), len(documents), "an index holds an id twice")
        return by_id

    def numbers(self, documents):
        return sorted(document["n"] for document in documents)

    def start(self, *arguments):
        """Starts the program and leaves it running."""
        process = subprocess.Popen([PENSTOCK, "reindex", *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "PENSTOCK_CONFIG": ""})
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def wait_until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def checkpoints(self):
        folder = self.path("data/tasks")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = []
        for name in names:
            if name.endswith(".json"):
                with open(os.path.join(folder, name), encoding="utf-8") as text:
                    found.append(json.load(text))
        return found

    def written(self):
        """Documents that the only job has acknowledged."""
        found = self.checkpoints()
        return found[0]["totals"]["read"] if found else 0


class Sources(ReindexTest):
    def test_ndjson(self):
        self.corpus(10)
        self.reindex("in.ndjson", "out.ndjson")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(10)))

    def test_ndjson_without_a_last_line_end_and_with_empty_lines(self):
        self.write("in.ndjson", '{"n":0}\r\n\r\n  \n{"n":1}\n{"n":2}')
        self.reindex("in.ndjson", "out.ndjson")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], [0, 1, 2])

    def test_json_list_object_and_objects_in_a_row(self):
        texts = {"list": '[{"n":0},\n {"n":1}]', "one": '{"n":\n0}', "row": '{"n":0}{"n":1}\n{"n":2}'}
        for name, text in texts.items():
            self.write(name + ".json", text)
            self.reindex(name + ".json", name + ".ndjson")
            expected = {"list": [0, 1], "one": [0], "row": [0, 1, 2]}[name]
            self.assertEqual([doc["n"] for doc in self.read(name + ".ndjson")], expected)

    def test_csv_and_tsv(self):
        self.write("in.csv", 'name,note\nAnna,"a, ""quoted""\nnote"\nBert,\n')
        self.write("in.tsv", "name\tnote\nCleo\ta, b\n")
        self.reindex("in.csv", "csv.ndjson")
        self.reindex("in.tsv", "tsv.ndjson")
        plain = [{key: doc[key] for key in ("name", "note")} for doc in self.read("csv.ndjson") + self.read("tsv.ndjson")]
        self.assertEqual(plain, [{"name": "Anna", "note": 'a, "quoted"\nnote'}, {"name": "Bert", "note": ""},
                                 {"name": "Cleo", "note": "a, b"}])

    def test_gzip_of_one_and_of_two_members(self):
        self.write("in.ndjson.gz", gzip.compress(b'{"n":0}\n') + gzip.compress(b'{"n":1}\n'))
        self.reindex("in.ndjson.gz", "out.ndjson")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], [0, 1])

    @unittest.skipUnless(shutil.which("zstd"), "the program zstd is not installed")
    def test_zstd(self):
        self.corpus(500)
        subprocess.run(["zstd", "-q", self.path("in.ndjson")], check=True)
        self.reindex("in.ndjson.zst", "out.ndjson")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(500)))

    def test_compression_is_told_by_the_bytes_too(self):
        self.write("in.ndjson", gzip.compress(b'{"n":7}\n'))
        self.reindex("in.ndjson", "out.ndjson")
        self.assertEqual(self.read("out.ndjson")[0]["n"], 7)

    def test_directory_in_the_order_of_names(self):
        os.makedirs(self.path("folder/deeper"))
        self.write("folder/b.ndjson", '{"n":1}\n')
        self.write("folder/a.ndjson.gz", gzip.compress(b'{"n":0}\n'))
        self.write("folder/deeper/c.csv", "n\n2\n")
        self.write("folder/notes.txt", "not data\n")
        self.write("folder/.hidden.ndjson", '{"n":99}\n')
        self.reindex("folder", "out.ndjson")
        self.assertEqual([str(doc["n"]) for doc in self.read("out.ndjson")], ["0", "1", "2"])

    def test_glob(self):
        for i in range(3):
            self.write(f"log-{i}.ndjson", json.dumps({"n": i}) + "\n")
        self.write("other.ndjson", '{"n":99}\n')
        self.reindex("log-*.ndjson", "out.ndjson")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], [0, 1, 2])

    def test_standard_input_as_ndjson_and_as_csv(self):
        self.reindex("-", "out.ndjson", stdin='{"n":0}\n{"n":1}')
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], [0, 1])
        self.reindex("-", "csv.ndjson", "--format", "csv", stdin="n\n5\n")
        self.assertEqual([doc["n"] for doc in self.read("csv.ndjson")], ["5"])

    def test_index(self):
        self.corpus(25)
        self.reindex("in.ndjson", "index:a")
        self.write("p.yml", MARK)
        self.reindex("index:a", "index:b", "--pipeline", "p.yml")
        a, b = self.index("a"), self.index("b")
        self.assertEqual(set(a), set(b))
        self.assertEqual({doc["seen"] for doc in b.values()}, {"yes"})

    def test_statistics_in_the_response(self):
        self.corpus(25)
        self.write("p.yml", MARK)
        done = self.reindex("in.ndjson", "out.ndjson", "--pipeline", "p.yml", "--stats", "--json")
        pipeline = json.loads(done.out)["ingest"]["pipelines"]["p"]
        self.assertEqual((pipeline["count"], pipeline["failed"], pipeline["current"]), (25, 0, 0))
        self.assertEqual({key: one["stats"]["count"] for step in pipeline["processors"] for key, one in step.items()},
                         {"set": 25})

    def test_source_is_destination(self):
        self.corpus(1)
        for source, dest in (("in.ndjson", "in.ndjson"), ("in.ndjson", "./in.ndjson"), ("in.ndjson", self.path("in.ndjson")),
                             (".", "out.ndjson"), ("*.ndjson", "out.ndjson"), ("index:a", "index:a")):
            failed = self.reindex(source, dest, "--overwrite", code=1)
            self.assertIn("destination", failed.err, (source, dest))
            self.assertEqual(len(self.read("in.ndjson")), 1)


class Destinations(ReindexTest):
    def test_the_three_hold_the_same(self):
        self.corpus(50)
        self.reindex("in.ndjson", "index:x")
        self.reindex("in.ndjson", "out.ndjson")
        printed = [json.loads(line) for line in self.reindex("in.ndjson", "-").out.splitlines()]
        self.assertEqual(printed, self.read("out.ndjson"))
        self.assertEqual(self.index("x"), {doc["_id"]: doc for doc in printed})

    def test_a_file_with_content_is_not_replaced_unasked(self):
        self.corpus(3)
        self.write("out.ndjson", "precious\n")
        refused = self.reindex("in.ndjson", "out.ndjson", code=1)
        self.assertIn("out.ndjson exists and is not empty", refused.err)
        with open(self.path("out.ndjson"), encoding="utf-8") as kept:
            self.assertEqual(kept.read(), "precious\n")
        self.reindex("in.ndjson", "out.ndjson", "--overwrite")
        self.assertEqual(len(self.read("out.ndjson")), 3)

    def test_dropped_documents_are_counted(self):
        self.write("p.yml", "processors: [{drop: {}}]\n")
        self.corpus(5)
        response = self.response("in.ndjson", "out.ndjson", "--pipeline", "p.yml")
        self.assertEqual((response["total"], response["created"], response["dropped"]), (5, 0, 5))


class Ids(ReindexTest):
    def test_of_the_document(self):
        self.write("in.ndjson", '{"_id":"a","n":0}\n{"_id":7,"n":1}\n{"n":2,"_id":true}\n')
        self.reindex("in.ndjson", "index:x")
        self.assertEqual(set(self.index("x")), {"a", "7", "true"})

    def test_of_a_field(self):
        self.write("in.ndjson", '{"key":{"a":"x"},"_id":"no"}\n{"key":{"a":5}}\n{"key":{}}\n{"key":{"a":[1]}}\n')
        self.reindex("in.ndjson", "index:x", "--id-field", "key.a", code=3)
        self.assertEqual(set(self.index("x")), {"x", "5"})
        dead = self.dead_letter()
        self.assertEqual([line["error"]["message"] for line in dead],
                         ["field [key.a] gives no _id: it is missing, empty, or not a string or number"] * 2)

    def dead_letter(self):
        folder = self.path("data/dead_letter")
        return self.read(os.path.join(folder, os.listdir(folder)[0]))

    def test_a_field_name_that_is_none(self):
        self.corpus(1)
        for name in (".", ".."):
            refused = self.reindex("in.ndjson", "index:x", "--id-field", name, code=None)
            self.assertIn(refused.returncode, (1, 2), name)
            self.assertIn("id-field", refused.err)

    def test_stable_ones_do_not_double(self):
        self.corpus(30)
        first = self.response("in.ndjson", "index:x")
        again = self.response("./in.ndjson", "index:x")
        self.assertEqual((first["created"], first["updated"]), (30, 0))
        self.assertEqual((again["created"], again["updated"]), (0, 30))
        self.assertEqual(len(self.index("x")), 30)

    def test_stable_ones_do_not_depend_on_batches_or_slices(self):
        self.corpus(300)
        self.reindex("in.ndjson", "index:x")
        expected = self.index("x")
        self.reindex("in.ndjson", "index:y", "--slices", "4", "--size", "7")
        self.assertEqual(self.index("y"), expected)

    def test_equal_ids_the_later_one_wins(self):
        self.write("in.ndjson", '{"_id":"a","n":0}\n{"_id":"a","n":1}\n')
        self.reindex("in.ndjson", "index:x")
        self.assertEqual(self.index("x")["a"]["n"], 1)


class Versions(ReindexTest):
    def setUp(self):
        super().setUp()
        self.write("one.ndjson", '{"_id":"b","n":100}\n')
        self.reindex("one.ndjson", "index:x")
        self.write("in.ndjson", '{"_id":"a","n":0}\n{"_id":"b","n":1}\n{"_id":"c","n":2}\n')

    def test_create_aborts_on_a_conflict(self):
        failed = self.reindex("in.ndjson", "index:x", "--op-type", "create", code=1)
        self.assertIn("[b]: version conflict, document already exists", failed.err)
        self.assertIn("in.ndjson:2", failed.err)
        self.assertEqual(self.index("x")["b"]["n"], 100)

    def test_create_aborted_and_resumed(self):
        self.reindex("in.ndjson", "index:x", "--op-type", "create", "--size", "1", code=1)
        response = self.response("in.ndjson", "index:x", "--op-type", "create", "--size", "1", "--conflicts", "proceed",
                                 "--resume")
        self.assertEqual((response["created"], response["version_conflicts"], response["total"]), (2, 1, 3))
        self.assertEqual({key: doc["n"] for key, doc in self.index("x").items()}, {"a": 0, "b": 100, "c": 2})

    def test_create_proceeds(self):
        response = self.response("in.ndjson", "index:x", "--op-type", "create", "--conflicts", "proceed")
        self.assertEqual((response["created"], response["updated"], response["version_conflicts"]), (2, 0, 1))
        self.assertEqual({key: doc["n"] for key, doc in self.index("x").items()}, {"a": 0, "b": 100, "c": 2})

    def test_external(self):
        self.write("v5.ndjson", '{"_id":"v","_version":5,"n":5}\n')
        self.write("v4.ndjson", '{"_id":"v","_version":4,"n":4}\n')
        self.write("v9.ndjson", '{"_id":"v","_version":9,"n":9}\n')
        external = ("--version-type", "external")
        self.assertEqual(self.response("v5.ndjson", "index:x", *external)["created"], 1)
        failed = self.reindex("v4.ndjson", "index:x", *external, code=1)
        self.assertIn("version conflict, current version [5] is higher or equal to the one provided [4]", failed.err)
        self.assertEqual(self.response("v4.ndjson", "index:x", *external, "--conflicts", "proceed")["version_conflicts"], 1)
        self.assertEqual(self.index("x")["v"]["n"], 5)
        self.assertEqual(self.response("v9.ndjson", "index:x", *external)["updated"], 1)
        self.assertEqual(self.index("x")["v"]["n"], 9)
        self.assertEqual(self.response("v9.ndjson", "index:x", "--version-type", "external_gte")["updated"], 1)

    def test_versions_travel_from_index_to_index(self):
        for _ in range(3):
            self.reindex("one.ndjson", "index:x")
        self.reindex("index:x", "index:y", "--version-type", "external")
        again = self.response("index:x", "index:y", "--version-type", "external", "--conflicts", "proceed")
        self.assertEqual((again["created"], again["updated"], again["version_conflicts"]), (0, 0, 1))


class Limits(ReindexTest):
    def test_max_docs(self):
        self.corpus(100)
        response = self.response("in.ndjson", "out.ndjson", "--max-docs", "33", "--size", "10")
        self.assertEqual((response["total"], response["batches"]), (33, 4))
        self.assertEqual(self.numbers(self.read("out.ndjson")), list(range(33)))

    def test_max_docs_over_slices(self):
        self.corpus(100)
        response = self.response("in.ndjson", "index:x", "--max-docs", "10", "--slices", "3")
        self.assertEqual(response["total"], 10)
        self.assertEqual(len(self.index("x")), 10)

    def test_size(self):
        self.corpus(100)
        self.assertEqual(self.response("in.ndjson", "out.ndjson", "--size", "1")["batches"], 100)

    def test_slices(self):
        self.corpus(1000)
        self.reindex("in.ndjson", "index:whole")
        expected = self.index("whole")
        for slices in ("1", "2", "7", "64", "auto"):
            response = self.response("in.ndjson", "index:s" + slices, "--slices", slices)
            self.assertEqual(response["total"], 1000)
            self.assertEqual(self.index("s" + slices), expected, slices)
            self.reindex("index:whole", "index:t" + slices, "--slices", slices)
            self.assertEqual(self.index("t" + slices), expected, slices)

    def test_slices_of_standard_input(self):
        failed = self.reindex("-", "index:x", "--slices", "2", stdin='{"n":1}\n', code=1)
        self.assertIn("cannot be read in slices", failed.err)
        self.reindex("-", "index:x", "--slices", "auto", stdin='{"n":1}\n')

    def test_requests_per_second(self):
        self.corpus(200)
        begin = time.monotonic()
        response = self.response("in.ndjson", "out.ndjson", "--requests-per-second", "100", "--size", "20")
        took = time.monotonic() - begin
        self.assertGreater(took, 1.5)
        self.assertLess(took, 30)
        self.assertEqual(response["requests_per_second"], 100)
        self.assertGreater(response["throttled_millis"], 1000)

    def test_usage(self):
        self.corpus(1)
        for arguments in (["--size", "0"], ["--slices", "0"], ["--slices", "x"], ["--requests-per-second", "0"],
                          ["--requests-per-second", "nan"], ["--op-type", "delete"], ["--conflicts", "maybe"],
                          ["--max-docs", "-1"], ["--format", "xml"], ["--no-such-option"]):
            self.reindex("in.ndjson", "out.ndjson", *arguments, code=2)
        self.penstock("reindex", "--dest", "out.ndjson", code=2)
        self.assertFalse(os.path.exists(self.path("out.ndjson")))


class DeadLetter(ReindexTest):
    def setUp(self):
        super().setUp()
        self.write("p.yml", SMALL_NUMBERS_ONLY)
        self.write("in.ndjson", '{"_id":"a","n":"1"}\n{"_id":"b","n":"two","_routing":"r"}\nnot json\n{"n":"3"}\n')
        self.arguments = ("in.ndjson", "index:x", "--pipeline", "p.yml", "--dead-letter", "f.dead-letter.ndjson")

    def test_content(self):
        summary = self.penstock("reindex", "--source", *self.arguments[:1], "--dest", *self.arguments[1:], code=3)
        self.assertIn("f.dead-letter.ndjson", summary.err)
        self.assertIn("2 created, 0 updated, 2 failed", summary.err)
        two, words = self.read("f.dead-letter.ndjson")
        self.assertEqual(two["document"]["source"], {"_id": "b", "n": "two", "_routing": "r"})
        self.assertEqual(two["document"]["id"], "b")
        self.assertEqual(two["error"], {"type": "illegal_argument_exception",
                                        "message": "unable to convert [two] to integer", "pipeline": "p",
                                        "processor_type": "convert", "processor_tag": "to-integer"})
        self.assertEqual(two["location"], "in.ndjson:2")
        self.assertRegex(two["@timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(words["document"]["raw"], "not json")
        self.assertEqual(words["location"], "in.ndjson:3")
        self.assertEqual(sorted(doc["n"] for doc in self.index("x").values()), [1, 3])

    def test_feeding_it_back_after_repair(self):
        self.reindex(*self.arguments, code=3)
        self.write("p.yml", "processors: [{convert: {field: n, type: integer, ignore_failure: true}}]\n")
        back = self.response("f.dead-letter.ndjson", "index:x", "--pipeline", "p.yml", "--dead-letter", "again.ndjson",
                             code=3)
        self.assertEqual((back["created"], back["dead_letter_count"]), (1, 1))
        self.assertEqual(self.index("x")["b"]["n"], "two")
        self.assertEqual(self.read("again.ndjson")[0]["document"]["raw"], "not json")

    def test_ids_survive_it(self):
        self.write("in.ndjson", '{"n":"two"}\n{"n":"2"}\n')
        self.reindex(*self.arguments, code=3)
        self.write("p.yml", "processors: [{set: {field: n, value: 0}}]\n")
        self.reindex("f.dead-letter.ndjson", "index:x", "--pipeline", "p.yml")
        before = set(self.index("x"))
        self.reindex("in.ndjson", "index:x", "--pipeline", "p.yml")
        self.assertEqual(set(self.index("x")), before)

    def test_an_older_one_is_kept(self):
        self.reindex(*self.arguments, code=3)
        older = self.read("f.dead-letter.ndjson")
        self.write("in.ndjson", '{"n":"three"}\n')
        self.reindex(*self.arguments, code=3)
        self.assertEqual([line["document"]["source"] for line in self.read("f.dead-letter.ndjson")], [{"n": "three"}])
        self.assertEqual(self.read("f.1.dead-letter.ndjson"), older)

    def test_it_is_never_its_own_source(self):
        self.reindex(*self.arguments, code=3)
        failed = self.reindex("./f.dead-letter.ndjson", "index:x", "--pipeline", "p.yml", "--dead-letter",
                              "f.dead-letter.ndjson", code=1)
        self.assertIn("dead letter", failed.err)
        self.assertEqual(len(self.read("f.dead-letter.ndjson")), 2)

    def test_no_file_when_nothing_fails(self):
        self.write("in.ndjson", '{"n":"1"}\n')
        self.reindex(*self.arguments)
        self.assertFalse(os.path.exists(self.path("f.dead-letter.ndjson")))


class Resume(ReindexTest):
    """The run of fifty kills is tools/bench/kill_test.py; here are a few, with every kind of destination."""

    def killed(self, kills, count, dest, *more):
        """Runs a job to its end, killed on the way; returns the response of the last run."""
        slow = ["--size", "20", "--requests-per-second", str(count / 2), "--resume", *more]
        for _ in range(kills):
            before = self.written()
            process = self.start("--source", "in.ndjson", "--dest", dest, "--quiet", *slow)
            self.wait_until(lambda: self.written() > before or process.poll() is not None, "the job does not go on")
            time.sleep(random.uniform(0, 0.1))
            self.assertIsNone(process.poll(), "the job ended before the kill")
            process.send_signal(signal.SIGKILL)
            process.wait()
        return self.response("in.ndjson", dest, "--size", "20", "--resume", *more)

    def test_kills_index(self):
        self.corpus(600)
        response = self.killed(3, 600, "index:x")
        self.assertTrue(response["resumed"])
        self.assertEqual(response["total"], 600)
        self.assertEqual(self.numbers(self.index("x").values()), list(range(600)))

    def test_kills_file(self):
        self.corpus(600)
        self.write("p.yml", MARK)
        self.killed(3, 600, "out.ndjson", "--pipeline", "p.yml")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(600)))

    def test_kills_create_in_slices(self):
        self.corpus(600)
        response = self.killed(3, 600, "index:x", "--op-type", "create", "--slices", "3")
        self.assertEqual(response["version_conflicts"], 0)
        self.assertEqual(response["created"] + response["noops"], 600)
        self.assertEqual(self.numbers(self.index("x").values()), list(range(600)))

    def test_kills_external_versions(self):
        self.write("in.ndjson", "".join(json.dumps({"_id": str(i), "_version": 5, "n": i}) + "\n" for i in range(600)))
        response = self.killed(3, 600, "index:x", "--version-type", "external")
        self.assertEqual(response["version_conflicts"], 0)
        self.assertEqual(self.numbers(self.index("x").values()), list(range(600)))

    def test_killed_between_writing_and_acknowledging(self):
        """The moment that kills rarely meet: the checkpoint says that 40 were begun and 20 acknowledged."""
        self.write("in.ndjson", "".join(json.dumps({"_id": str(i), "_version": 5, "n": i}) + "\n" for i in range(60)))
        for more in (("--version-type", "external"), ("--op-type", "create"), ()):
            shutil.rmtree(self.path("data"), ignore_errors=True)
            job = ("in.ndjson", "index:x", "--checkpoint", "c.json", "--size", "20", *more)
            self.reindex(*job, "--max-docs", "20")
            with open(self.path("c.json"), encoding="utf-8") as text:
                checkpoint = json.load(text)
            self.reindex(*job, "--max-docs", "40", "--resume")
            checkpoint["slices"][0]["started"] = 40
            self.write("c.json", json.dumps(checkpoint))
            response = self.response(*job, "--resume")
            self.assertEqual(response["version_conflicts"], 0, more)
            self.assertEqual(response["total"], 60)
            self.assertEqual(response["noops"] + response["updated"], 20)
            self.assertEqual(self.numbers(self.index("x").values()), list(range(60)))

    def test_kills_do_not_double_failures(self):
        self.corpus(600)
        self.write("p.yml", "processors: [{fail: {message: no}}]\n")
        slow = ["--pipeline", "p.yml", "--dead-letter", "f.ndjson"]
        for _ in range(3):
            before = self.written()
            process = self.start("--source", "in.ndjson", "--dest", "index:x", "--quiet", "--size", "20",
                                 "--requests-per-second", "300", "--resume", *slow)
            self.wait_until(lambda: self.written() > before, "the job does not go on")
            process.kill()
            process.wait()
        response = self.response("in.ndjson", "index:x", "--size", "20", "--resume", *slow, code=3)
        self.assertEqual(response["dead_letter_count"], 600)
        self.assertEqual(self.numbers(line["document"]["source"] for line in self.read("f.ndjson")), list(range(600)))

    def test_a_dead_letter_that_cannot_be_written_doubles_nothing(self):
        self.write("in.ndjson", "".join(json.dumps({"n": i}) + "\n" for i in range(30)) + "bad\n")
        for slices in ("1", "3"):
            shutil.rmtree(self.path("data"), ignore_errors=True)
            job = ("in.ndjson", "out.ndjson", "--size", "10", "--slices", slices)
            failed = self.reindex(*job, "--overwrite", "--dead-letter", "/dev/full", code=1)
            self.assertIn("cannot write to /dev/full: No space left on device", failed.err)
            self.reindex(*job, "--resume", "--dead-letter", "dead.ndjson", code=3)
            self.assertEqual(self.numbers(self.read("out.ndjson")), list(range(30)))
            self.assertEqual(len(self.read("dead.ndjson")), 1)
            os.remove(self.path("dead.ndjson"))

    def test_without_resume_it_starts_anew_and_says_so(self):
        self.corpus(400)
        process = self.start("--source", "in.ndjson", "--dest", "index:x", "--size", "10", "--requests-per-second", "100")
        self.wait_until(lambda: self.written() > 0, "the job does not go on")
        process.kill()
        process.wait()
        anew = self.penstock("reindex", "--source", "in.ndjson", "--dest", "index:x")
        self.assertIn("an earlier run stopped after", anew.err)
        self.assertEqual(len(self.index("x")), 400)

    def test_a_refused_start_does_not_forget_the_earlier_run(self):
        self.corpus(400)
        process = self.start("--source", "in.ndjson", "--dest", "out.ndjson", "--size", "10", "--requests-per-second", "100")
        self.wait_until(lambda: self.written() > 0, "the job does not go on")
        process.kill()
        process.wait()
        self.reindex("in.ndjson", "out.ndjson", code=1)  # without --resume: the file has content
        self.reindex("in.ndjson", "out.ndjson", "--resume")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(400)))

    def test_killed_before_the_first_acknowledgement(self):
        self.corpus(20)
        self.reindex("in.ndjson", "out.ndjson")
        expected = self.read("out.ndjson")
        for delay in (0.0, 0.01, 0.02, 0.04, 0.06):
            os.remove(self.path("out.ndjson"))
            shutil.rmtree(self.path("data"), ignore_errors=True)
            process = self.start("--source", "in.ndjson", "--dest", "out.ndjson", "--quiet", "--resume")
            time.sleep(delay)
            process.kill()
            process.wait()
            self.reindex("in.ndjson", "out.ndjson", "--resume")
            self.assertEqual(self.read("out.ndjson"), expected, delay)

    def test_finished_job_reads_only_what_was_added(self):
        self.corpus(10)
        self.reindex("in.ndjson", "out.ndjson", "--resume")
        nothing = self.response("in.ndjson", "out.ndjson", "--resume")
        self.assertEqual((nothing["total"], nothing["batches"], nothing["resumed"]), (10, 1, True))
        self.assertEqual(len(self.read("out.ndjson")), 10)
        with open(self.path("in.ndjson"), "a", encoding="utf-8") as more:
            more.write('{"n":10}\n{"n":11}\n')
        added = self.response("in.ndjson", "out.ndjson", "--resume")
        self.assertEqual((added["total"], added["batches"]), (12, 2))
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(12)))

    def test_finished_job_reads_new_files_and_new_documents_of_an_index(self):
        os.mkdir(self.path("folder"))
        self.corpus(5, "folder/1.ndjson")
        self.reindex("folder", "index:x", "--resume")
        self.corpus(5, "folder/2.ndjson", first=5)
        added = self.response("folder", "index:x", "--resume")
        self.assertEqual((added["total"], added["created"]), (10, 10))
        self.reindex("index:x", "index:y", "--resume")
        self.corpus(3, "folder/3.ndjson", first=10)
        self.reindex("folder", "index:x", "--resume")
        self.assertEqual(self.response("index:x", "index:y", "--resume")["total"], 13)
        self.assertEqual(self.numbers(self.index("y").values()), list(range(13)))

    def test_refused_when_the_source_has_changed(self):
        self.corpus(100)
        self.reindex("in.ndjson", "index:x", "--resume")
        self.corpus(100, first=1000)
        failed = self.reindex("in.ndjson", "index:x", "--resume", code=1)
        self.assertIn("in.ndjson has ", failed.err)
        self.corpus(10)
        self.assertIn("cannot resume", self.reindex("in.ndjson", "index:x", "--resume", code=1).err)
        os.remove(self.path("in.ndjson"))
        self.assertIn("in.ndjson", self.reindex("in.ndjson", "index:x", "--resume", code=1).err)

    def test_refused_when_the_pipeline_or_the_options_have_changed(self):
        self.corpus(10)
        self.write("p.yml", MARK)
        self.reindex("in.ndjson", "index:x", "--pipeline", "p.yml", "--resume")
        failed = self.reindex("in.ndjson", "index:x", "--pipeline", "p.yml", "--resume", "--op-type", "create", code=1)
        self.assertIn("its pipeline or options have changed", failed.err)
        self.write("p.yml", MARK.replace("yes", "no"))
        failed = self.reindex("in.ndjson", "index:x", "--pipeline", "p.yml", "--resume", code=1)
        self.assertIn("its pipeline or options have changed", failed.err)
        self.reindex("in.ndjson", "index:x", "--pipeline", "p.yml")
        self.assertEqual({doc["seen"] for doc in self.index("x").values()}, {"no"})

    def test_damaged_checkpoint(self):
        self.corpus(10)
        self.reindex("in.ndjson", "index:x", "--checkpoint", "c.json")
        for damage in ("", "{", "[]", "{}", '{"version":1,"job":"x"}', '{"version":99}', "\0" * 100):
            self.write("c.json", damage)
            failed = self.reindex("in.ndjson", "index:x", "--checkpoint", "c.json", "--resume", code=1)
            self.assertIn("c.json is not a checkpoint that can be used", failed.err)
        self.reindex("in.ndjson", "index:x", "--checkpoint", "c.json")

    def test_destination_file_cut_behind_our_back(self):
        self.corpus(10)
        self.reindex("in.ndjson", "out.ndjson", "--resume")
        self.write("out.ndjson", "")
        failed = self.reindex("in.ndjson", "out.ndjson", "--resume", code=1)
        self.assertIn("out.ndjson is shorter than when the checkpoint was made", failed.err)

    def test_standard_input_cannot_be_resumed(self):
        refused = self.reindex("-", "index:x", "--resume", stdin='{"n":1}\n', code=1)
        self.assertIn("standard input cannot be read again", refused.err)

    def test_the_same_job_twice_at_once(self):
        self.corpus(400)
        first = self.start("--source", "in.ndjson", "--dest", "index:x", "--size", "10", "--requests-per-second", "100")
        self.wait_until(lambda: self.written() > 0, "the job does not go on")
        refused = self.reindex("in.ndjson", "index:x", "--resume", code=1)
        self.assertIn("the same reindex is running already", refused.err)
        self.reindex("in.ndjson", "index:y")  # another destination is another job
        self.assertIsNone(first.poll())


class CtrlC(ReindexTest):
    def interrupted(self, times, *more):
        self.corpus(2000)
        process = self.start("--source", "in.ndjson", "--dest", "out.ndjson", "--size", "20",
                             "--requests-per-second", "200", *more)
        self.wait_until(lambda: self.written() > 0, "the job does not go on")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, err = process.communicate(timeout=30)
        return process.returncode, err

    def test_once_finishes_what_is_in_flight(self):
        code, err = self.interrupted(1)
        self.assertEqual(code, 130, err)
        self.assertIn("finishing what is in flight", err)
        self.assertIn("--resume goes on from there", err)
        written = [doc["n"] for doc in self.read("out.ndjson")]
        self.assertEqual(written, list(range(len(written))))
        self.assertEqual(len(written), self.written())
        self.assertLess(len(written), 2000)
        self.reindex("in.ndjson", "out.ndjson", "--size", "20", "--resume")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(2000)))

    def test_twice_stops_now(self):
        code, err = self.interrupted(2)
        self.assertEqual(code, 130, err)
        self.reindex("in.ndjson", "out.ndjson", "--size", "20", "--resume")
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], list(range(2000)))

    def test_terminate_is_like_ctrl_c(self):
        self.corpus(2000)
        process = self.start("--source", "in.ndjson", "--dest", "index:x", "--size", "20", "--requests-per-second", "200",
                             "--json")
        self.wait_until(lambda: self.written() > 0, "the job does not go on")
        process.terminate()
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(json.loads(out)["canceled"], "by user request")

    def test_a_pipe_that_says_nothing(self):
        process = subprocess.Popen([PENSTOCK, "reindex", "--source", "-", "--dest", "out.ndjson"], cwd=self.folder,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PENSTOCK_CONFIG": ""})
        self.addCleanup(self.end, process)
        process.stdin.write(b'{"n":1}\n')
        process.stdin.flush()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertEqual([doc["n"] for doc in self.read("out.ndjson")], [1])


class Response(ReindexTest):
    FIELDS = {"took", "timed_out", "total", "updated", "created", "deleted", "batches", "version_conflicts", "noops",
              "retries", "throttled_millis", "requests_per_second", "throttled_until_millis", "failures"}
    OURS = {"dropped", "dead_letter_count", "dead_letter", "canceled", "source_incomplete", "resumed"}

    def test_shape(self):
        self.corpus(7)
        response = self.response("in.ndjson", "index:x")
        self.assertEqual(set(response), self.FIELDS | self.OURS)
        self.assertEqual(response["retries"], {"bulk": 0, "search": 0})
        self.assertEqual((response["total"], response["created"], response["batches"]), (7, 7, 1))
        self.assertEqual(response["requests_per_second"], -1)
        self.assertEqual((response["failures"], response["dead_letter"], response["canceled"]), ([], "", None))

    def test_failures(self):
        self.write("in.ndjson", '{"_id":"a"}\nbad\n')
        response = self.response("in.ndjson", "index:x", "--dead-letter", "d.ndjson", code=3)
        self.assertEqual(response["dead_letter"], "d.ndjson")
        failure = response["failures"][0]
        self.assertEqual(failure["status"], 400)
        self.assertEqual(failure["location"], "in.ndjson:2")
        self.assertEqual(failure["cause"]["type"], "parse_exception")

    def test_exit_codes_and_errors(self):
        self.corpus(1)
        self.assertIn("no-such", self.reindex("no-such.ndjson", "index:x", code=1).err)
        self.assertIn("no such index [nowhere]", self.reindex("index:nowhere", "index:x", code=1).err)
        self.assertIn("no-such", self.reindex("in.ndjson", "index:x", "--pipeline", "no-such", code=1).err)
        self.assertIn("Invalid index name", self.reindex("in.ndjson", "index:UPPER", code=1).err)
        self.write("bad.yml", "processors: [{sett: {}}]\n")
        self.assertIn("bad.yml:1:", self.reindex("in.ndjson", "index:x", "--pipeline", "bad.yml", code=1).err)

    def test_progress_of_a_long_run(self):
        self.corpus(1400)
        done = self.penstock("reindex", "--source", "in.ndjson", "--dest", "out.ndjson", "--size", "20",
                             "--requests-per-second", "200")
        self.assertRegex(done.err, r"\d+ documents  \d+ docs/s  \d+ %  .* left\n")
        self.assertRegex(done.err, r"1,400 documents  \d+ docs/s  in ")
        self.assertIn("1,400 created, 0 updated", done.err)


class WithTheModel(ReindexTest):
    TEXTS = {"war": "The army crossed the river at dawn and the battle for the fortress began.",
             "bread": "Knead the dough, let it rise for an hour, and bake the loaf in a hot oven.",
             "stars": "The telescope measured the light of a distant galaxy and its red shift."}

    def setUp(self):
        super().setUp()
        self.write("in.ndjson", "".join(json.dumps({"_id": key, "president": "Nobody", "year": 1900, "text": text}) + "\n"
                                        for key, text in self.TEXTS.items()))
        self.reindex("in.ndjson", "index:speeches", "--pipeline", "speeches")

    def test_chunks_have_vectors_and_are_found_by_meaning(self):
        documents = self.index("speeches")
        self.assertEqual(set(documents), set(self.TEXTS))
        for key, document in documents.items():
            self.assertEqual([len(chunk["embedding"]) for chunk in document["chunks"]], [512])
            self.assertEqual(document["chunks"][0]["text"], self.TEXTS[key])
        for query, best in (("recipe for baking", "bread"), ("astronomy", "stars"), ("soldiers fighting", "war")):
            found = json.loads(self.penstock("search", "speeches", query, "--deployment", "search", "--json").out)
            self.assertEqual(found["hits"]["hits"][0]["_id"], best, query)

    def test_a_copy_keeps_the_vectors(self):
        self.reindex("index:speeches", "index:copy")
        self.assertEqual(self.index("copy"), self.index("speeches"))
        found = json.loads(self.penstock("search", "copy", "bakery", "--deployment", "search", "--json").out)
        self.assertEqual(found["hits"]["hits"][0]["_id"], "bread")


if __name__ == "__main__":
    unittest.main()
