"""Faulty documents and files: the exit code, the good documents around them, and what people are told.

With -v it ends with a table of all cases and the messages they got.
"""

import base64
import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import unittest

from tool import PENSTOCK, ROOT, ToolTest

FIRST = b'{"_id":"first","n":1}\n'
LAST = b'{"_id":"last","n":2}\n'
MEBIBYTE = 1 << 20
# Sanitizers keep freed memory and shadow bytes: their builds are not held to the bounds on memory.
SANITIZED = b"__asan_init" in open(PENSTOCK, "rb").read()

TABLE = []


def nested(depth, opening=b'{"a":', closing=b"}", core=b"1"):
    return opening * depth + core + closing * depth


# Each is one line of NDJSON between two good ones: name -> (line, message).
LINES = {
    "half an object": (b'{"n":', "Unexpected end of the text at column 6"),
    "no JSON at all": (b"hello, world", "Unexpected character 'h' (syntax error) at column 1"),
    "trailing comma": (b'{"n":1,}', "Unexpected character '}' (syntax error) at column 8"),
    "single quotes": (b"{'n':1}", "Unexpected character ''' (syntax error) at column 2"),
    "key without quotes": (b"{n:1}", "Unexpected character 'n' (syntax error) at column 2"),
    "missing colon": (b'{"n" 1}', "Unexpected character '1' (syntax error) at column 6"),
    "two values on one line": (b'{"n":1} {"n":2}', "Unexpected text after the end of the value at column 9"),
    "comment": (b'{"n":1} // one', "Unexpected text after the end of the value at column 9"),
    "list": (b'[{"n":1}]', "a document must be a JSON object, found an array"),
    "string": (b'"text"', "a document must be a JSON object, found a string"),
    "number": (b"12", "a document must be a JSON object, found a scalar"),
    "null": (b"null", "a document must be a JSON object, found null"),
    "NaN": (b'{"n":NaN}', "Not a number that JSON knows at column 6"),
    "Infinity": (b'{"n":-Infinity}', "Not a number that JSON knows at column 7"),
    "number with a plus": (b'{"n":+1}', "Unexpected character '+' (syntax error) at column 6"),
    "number with a leading zero": (b'{"n":01}', "Unexpected character '1' (syntax error) at column 7"),
    "number that breaks off": (b'{"n":1.}', "Unexpected character '}' (syntax error) at column 8"),
    "hexadecimal number": (b'{"n":0x10}', "Unexpected character 'x' (syntax error) at column 7"),
    "duplicate key": (b'{"n":1,"n":2}', "Duplicate field 'n' at column 9"),
    "duplicate key, one of them escaped": (b'{"n":1,"\\u006e":2}', "Duplicate field 'n' at column 18"),
    "duplicate key inside": (b'{"a":{"b":[{"c":1,"c":1}]}}', "Duplicate field 'c' at column 20"),
    "lone high surrogate": (b'{"n":"\\ud83d"}', "Lone surrogate in a \\u escape at column 13"),
    "lone low surrogate": (b'{"n":"\\ude00"}', "Lone surrogate in a \\u escape at column 13"),
    "surrogates in the wrong order": (b'{"n":"\\ude00\\ud83d"}', "Lone surrogate in a \\u escape at column 8"),
    "surrogate in a key": (b'{"\\ud83d":1}', "Lone surrogate in a \\u escape at column 9"),
    "unknown escape": (b'{"n":"\\x41"}', "Unexpected character 'x' (syntax error) at column 8"),
    "escape that breaks off": (b'{"n":"\\u00', "Unexpected end of the text at column 11"),
    "tab inside a string": (b'{"n":"a\tb"}', "Control character where none may be at column 8"),
    "NUL inside a string": (b'{"n":"a\0b"}', "Control character where none may be at column 8"),
    "NUL between values": (b'{"n":1}\0', "Unexpected text after the end of the value at column 8"),
    "line of NULs": (b"\0" * 100, "Control character where none may be at column 1"),
    "UTF-8: Latin-1 byte": (b'{"n":"caf\xe9"}', "Invalid UTF-8 at column "),
    "UTF-8: overlong slash": (b'{"n":"\xc0\xaf"}', "Invalid UTF-8 at column "),
    "UTF-8: overlong NUL": (b'{"n":"\xc0\x80"}', "Invalid UTF-8 at column "),
    "UTF-8: encoded surrogate": (b'{"n":"\xed\xa0\x80"}', "Invalid UTF-8 at column "),
    "UTF-8: beyond U+10FFFF": (b'{"n":"\xf4\x90\x80\x80"}', "Invalid UTF-8 at column "),
    "UTF-8: cut off character": (b'{"n":"\xe2\x82"}', "Invalid UTF-8 at column "),
    "UTF-8: lone continuation byte": (b'{"n":"\x80"}', "Invalid UTF-8 at column "),
    "UTF-8: faulty in a key": (b'{"\xff":1}', "Invalid UTF-8 at column "),
    "byte order mark inside the file": (b'\xef\xbb\xbf{"n":1}', "a byte order mark inside the file"),
    "nesting of 1,001 levels": (nested(1001), "Nested too deeply at column "),
    "nesting of 100,000 levels": (nested(100_000), "Nested too deeply at column "),
    "nesting of 100,000 lists": (nested(100_000, b"[", b"]"), "Nested too deeply at column "),
    "100,000 brackets that stay open": (b'{"a":' + b"[" * 100_000, "Nested too deeply at column "),
}

# Lines that look odd and are documents all the same: name -> (line, a member and what it must come out as).
ODD = {
    "nesting of 1,000 levels": (nested(999, core=b'{"n":1}'), None),
    "integer of 400 digits": (b'{"n":' + b"7" * 400 + b"}", b'"n":' + b"7" * 400),
    "1e999": (b'{"n":1e999}', b'"n":1e999'),
    "decimal of 40 digits": (b'{"n":0.' + b"123456789" * 4 + b"1}", b"0." + b"123456789" * 4 + b"1"),
    "minus zero": (b'{"n":-0}', b'"n":-0'),
    "empty key": (b'{"":1}', b'"":1'),
    "key of 1 MiB": (b'{"' + b"k" * MEBIBYTE + b'":1}', b"k" * MEBIBYTE),
    "100,000 keys": (b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(100_000)) + b"}", b'"k99999":99999'),
    "1,000,000 elements": (b'{"n":[' + b",".join([b"1"] * 1_000_000) + b"]}", None),
    "empty object": (b"{}", None),
    "escaped NUL": (b'{"n":"\\u0000"}', b"\\u0000"),
    "surrogate pair": (b'{"n":"\\ud83d\\ude00"}', "😀".encode()),
    "noncharacter": (b'{"n":"\xef\xbf\xbf"}', b"\xef\xbf\xbf"),
    "white space around": (b' \t {"n":1} \t ', b'"n":1'),
    "_id of a type that is none": (b'{"_id":{"a":1},"n":1}', b'"_id":{"a":1}'),
    "_id null": (b'{"_id":null,"n":1}', None),
    "metadata of the wrong types": (b'{"_version":"x","_routing":5,"_index":[]}', b'"_version":"x"'),
}


class BadInputTest(ToolTest):
    def note(self, name, message):
        short = re.sub(r"\s+", " ", message).strip()
        TABLE.append((name, short if len(short) <= 150 else short[:147] + "..."))

    def reindex(self, source, *more, dest="out.ndjson", code=3):
        """Runs a reindex with --json; returns its response, None when it printed none, and stderr."""
        done = self.penstock("reindex", "--source", source, "--dest", dest, "--dead-letter", "dead.ndjson", "--json", *more,
                             code=code)
        response = json.loads(done.out) if done.out else None
        if response:
            arrived = response["created"] + response["updated"] + response["dropped"] + response["version_conflicts"]
            self.assertEqual(response["total"], arrived + response["dead_letter_count"], "documents are lost")
            self.assertEqual(len(self.dead()), response["dead_letter_count"])
        return response, done.err

    def dead(self):
        return self.read("dead.ndjson") if os.path.exists(self.path("dead.ndjson")) else []

    def ids(self):
        return [document["_id"] for document in self.read("out.ndjson")]

    def clean(self):
        for name in ("out.ndjson", "dead.ndjson", "in.ndjson"):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        shutil.rmtree(self.path("data"), ignore_errors=True)

    def reasons(self):
        return [line["error"]["message"] for line in self.dead()]

    def check(self, name, source, content, reasons, ids, *more, code=3, **options):
        """One faulty file: the messages of its dead letters and the ids that arrive."""
        with self.subTest(name):
            self.clean()
            self.write(source, content)
            response, _ = self.reindex(source, *more, code=code, **options)
            found = self.reasons()
            self.assertEqual(len(found), len(reasons), found)
            for reason, part in zip(found, reasons):
                self.assertIn(part, reason)
            if ids is not None:
                self.assertEqual(self.ids(), ids)
            self.note(name, " | ".join(found) or "(fine)")
            return response


class Lines(BadInputTest):
    def test_faulty_lines(self):
        for name, (line, message) in LINES.items():
            with self.subTest(name):
                self.clean()
                self.write("in.ndjson", FIRST + line + b"\n" + LAST)
                response, _ = self.reindex("in.ndjson")
                self.assertEqual(self.ids(), ["first", "last"])
                self.assertEqual((response["created"], response["dead_letter_count"]), (2, 1))
                dead = self.dead()[0]
                self.assertEqual(dead["location"], "in.ndjson:2")
                self.assertEqual(dead["error"]["type"], "parse_exception")
                self.assertIn(message, dead["error"]["message"])
                original = dead["document"]
                kept = original["raw"].encode() if "raw" in original else base64.b64decode(original["raw_base64"])
                self.assertEqual(kept, line)
                self.note(name, dead["error"]["message"])

    def test_a_name_that_no_field_can_have(self):
        self.write("in.ndjson", FIRST + b'{"...":1}\n' + LAST)
        response, _ = self.reindex("in.ndjson", dest="index:x")
        self.assertEqual((response["created"], response["dead_letter_count"]), (2, 1))
        dead = self.dead()[0]
        self.assertEqual(dead["location"], "in.ndjson:2")
        self.assertEqual(dead["error"]["type"], "illegal_argument_exception")
        self.assertEqual(dead["error"]["message"], "field name cannot contain only the character [.]")

    def test_odd_lines_that_are_documents(self):
        for name, (line, part) in ODD.items():
            with self.subTest(name):
                self.clean()
                self.write("in.ndjson", FIRST + line + b"\n" + LAST)
                for dest in ("out.ndjson", "index:x"):
                    response, _ = self.reindex("in.ndjson", dest=dest, code=0)
                    self.assertEqual(response["created"], 3)
                with open(self.path("out.ndjson"), "rb") as out:
                    lines = out.read().splitlines()
                self.assertEqual(len(lines), 3)
                self.assertIn(part or b"", lines[1])
                self.note(name, "(a document)")

    def test_a_faulty_file_through_a_pipeline(self):
        self.write("p.yml", "processors: [{set: {field: seen, value: 1}}]\n")
        lines = [line for line, _ in LINES.values()]
        self.write("in.ndjson", FIRST + b"\n".join(lines) + b"\n" + LAST)
        response, _ = self.reindex("in.ndjson", "--pipeline", "p.yml", "--slices", "3", "--size", "5")
        self.assertEqual((response["created"], response["dead_letter_count"]), (2, len(lines)))

    def test_the_dead_letter_of_all_of_them_comes_back(self):
        lines = [line for line, _ in LINES.values()]
        self.write("in.ndjson", b"\n".join(lines) + b"\n")
        self.reindex("in.ndjson")
        os.rename(self.path("dead.ndjson"), self.path("old.dead-letter.ndjson"))
        response, _ = self.reindex("old.dead-letter.ndjson", dest="index:x")
        self.assertEqual(response["dead_letter_count"], len(lines))


class Files(BadInputTest):
    def test_text_files(self):
        both = ["first", "last"]
        utf16 = "the file is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"
        check = self.check
        check("empty file", "in.ndjson", b"", [], None, code=0)
        check("only line ends", "in.ndjson", b"\n\r\n\n", [], None, code=0)
        check("only a byte order mark", "in.ndjson", b"\xef\xbb\xbf", [], None, code=0)
        check("byte order mark", "in.ndjson", b"\xef\xbb\xbf" + FIRST + LAST, [], both, code=0)
        check("CRLF", "in.ndjson", (FIRST + LAST).replace(b"\n", b"\r\n"), [], both, code=0)
        check("CR alone", "in.ndjson", (FIRST + LAST).replace(b"\n", b"\r"), [""], [])
        check("UTF-16, little end first", "in.ndjson", (FIRST + LAST).decode().encode("utf-16"), [utf16], [])
        check("UTF-16, big end first", "in.ndjson", b"\xfe\xff" + FIRST.decode().encode("utf-16-be"), [utf16], [])
        check("UTF-32 without a mark", "in.ndjson", FIRST.decode().encode("utf-32-le"), ["", ""], [])
        check("file that ends in half a line", "in.ndjson", FIRST + LAST + b'{"n":"ab', [""], both)

    def test_a_program_file(self):
        with open("/bin/sh", "rb") as program:
            self.write("in.ndjson", program.read())
        response, _ = self.reindex("in.ndjson")
        self.assertEqual(response["created"], 0)
        self.assertGreater(response["dead_letter_count"], 0)
        self.note("a program instead of a text", self.reasons()[0])

    def test_compressed_files(self):
        good = FIRST + LAST
        packed = gzip.compress(good * 2000)
        cases = {
            "gzip cut off": (packed[: len(packed) // 2], "the gzip data is cut off at compressed byte"),
            "gzip without its last byte": (packed[:-1], "the gzip data is cut off at compressed byte"),
            "gzip with a wrong checksum": (packed[:-8] + b"\0\0\0\0" + packed[-4:], "incorrect data check"),
            "gzip with a wrong length": (packed[:-4] + b"\1\2\3\4", "incorrect length check"),
            "gzip with a damaged middle": (packed[:200] + b"\xff" * 50 + packed[250:], "gzip data"),
            "gzip with bytes behind its end": (packed + b"garbage", "unknown bytes after the end of the data"),
            "gzip of zero bytes": (gzip.compress(b""), None),
            "gzip with a header alone": (packed[:10], "cut off"),
            "empty file named .gz": (b"", "cut off"),
            "text named .gz": (good, "corrupt gzip data near compressed byte"),
        }
        for name, (content, message) in cases.items():
            with self.subTest(name):
                self.packed("in.ndjson.gz", name, content, message)

    @unittest.skipUnless(shutil.which("zstd"), "the program zstd is not installed")
    def test_zstd_files(self):
        good = b"".join(b'{"_id":"%d","text":"%s"}\n' % (i, os.urandom(20).hex().encode()) for i in range(2000))
        packed = subprocess.run(["zstd", "-q", "-c", "--check"], input=good, capture_output=True, check=True).stdout
        middle = len(packed) // 2
        cases = {
            "zstd cut off": (packed[:middle], "the zstd data is cut off at compressed byte"),
            "zstd with a wrong checksum": (packed[:-1] + bytes([packed[-1] ^ 1]), "checksum"),
            "zstd with a damaged middle": (packed[:middle] + b"\xff" * 64 + packed[middle + 64:], "corrupt zstd data"),
            "zstd of zero bytes": (subprocess.run(["zstd", "-q", "-c"], input=b"", capture_output=True, check=True).stdout, None),
            "empty file named .zst": (b"", "cut off"),
            "text named .zst": (FIRST, "corrupt zstd data"),
        }
        for name, (content, message) in cases.items():
            with self.subTest(name):
                self.packed("in.ndjson.zst", name, content, message)

    def packed(self, source, name, content, message):
        """A damaged compressed file beside a good file: what comes before the damage and the other file arrive."""
        self.clean()
        shutil.rmtree(self.path("folder"), ignore_errors=True)
        os.mkdir(self.path("folder"))
        self.write("folder/" + source, content)
        self.write("folder/z.ndjson", b'{"_id":"other file"}\n')
        response, _ = self.reindex("folder", code=3 if message else 0)
        self.assertEqual(response["source_incomplete"], message is not None)
        self.assertEqual(self.ids()[-1], "other file")
        if message:
            self.assertIn(message, self.reasons()[-1])
            self.assertIn("folder/" + source, self.reasons()[-1])
        self.note(name, self.reasons()[-1] if message else "(fine)")

    def test_json_files(self):
        first, last = FIRST.strip(), LAST.strip()
        both = ["first", "last"]
        check = self.check
        check("JSON list that is not closed", "in.json", b"[" + first + b"," + last, ["the JSON array is not closed"], both)
        check("JSON list cut off inside a document", "in.json", b"[" + first + b',{"n":', ["the file ends inside this value",
              "the JSON array is not closed: the file is incomplete"], ["first"])
        check("JSON list with a trailing comma", "in.json", b"[" + first + b"," + last + b",]", [], both, code=0)
        check("JSON list of scalars", "in.json", b'[1,"a",null,true,' + last + b"]", ["a document must be a JSON object"] * 4,
              ["last"])
        check("JSON list of lists", "in.json", b"[[" + first + b"]," + last + b"]", ["a document must be a JSON object"],
              ["last"])
        check("JSON with brackets that do not match", "in.json", first + b'\n{"a":[1}\n' + last,
              ["the brackets of this value do not match"], both)
        check("JSON with a line end inside a string", "in.json", first + b'\n{"a":"b\n' + last, ["a line ends inside a string"],
              both)
        check("JSON scalar", "in.json", b"12", ["a document must be a JSON object"], [])
        check("empty JSON file", "in.json", b"", [], None, code=0)

    def test_csv_files(self):
        check = self.check
        check("CSV row with too few columns", "in.csv", b"_id,n\na,1\nb\nc,3\n",
              ["the row has 1 columns, the header has 2"], ["a", "c"])
        check("CSV row with too many columns", "in.csv", b"_id,n\na,1\nb,2,3\nc,3\n",
              ["the row has 3 columns, the header has 2"], ["a", "c"])
        check("CSV with a quote that is not closed", "in.csv", b'_id,n\na,1\nb,"2\nc,3\n', [""], ["a"])
        check("CSV with text behind a quoted cell", "in.csv", b'_id,n\na,1\nb,"2"x\nc,3\n',
              ["text after the closing quote of a cell"], ["a", "c"])
        check("CSV header that names a column twice", "in.csv", b"n,n\n1,2\n",
              ["the header names the column [n] twice"], [])
        check("CSV header with an empty name", "in.csv", b"_id,,n\n1,2,3\n", ["column 2 of the header has no name"], [])
        check("CSV header alone", "in.csv", b"_id,n\n", [], None, code=0)
        check("CSV with a NUL", "in.csv", b"_id,n\na,1\nb,\0\nc,3\n", [], ["a", "b", "c"], code=0)
        check("CSV that is not UTF-8", "in.csv", b"_id,n\na,1\nb,caf\xe9\nc,3\n", ["UTF-8"], ["a", "c"])
        check("CSV header that is not UTF-8", "in.csv", b"_id,caf\xe9\na,1\n", ["UTF-8"], [])


class Large(BadInputTest):
    """Long lines cost their own size a few times over, and only while they are there."""

    def measured(self, source, code):
        """Runs a reindex to a file; returns its greatest resident size in MiB (of Linux; what is left of the process
        that started it does not count, as it does in ru_maxrss)."""
        process = subprocess.Popen([PENSTOCK, "reindex", "--source", source, "--dest", "out.ndjson", "--dead-letter",
                                    "dead.ndjson", "--quiet"], cwd=self.folder, env={**os.environ, "PENSTOCK_CONFIG": ""})
        greatest = 0
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            greatest = int(found.group(1)) if found else greatest
            time.sleep(0.005)
        self.assertEqual(process.returncode, code)
        return greatest // 1024

    def lines(self, size):
        with open(self.path("in.ndjson"), "wb") as out:
            out.write(FIRST + b'{"_id":"long","text":"')
            for _ in range(size // MEBIBYTE):
                out.write(b"x" * MEBIBYTE)
            out.write(b'"}\n' + LAST)

    def test_a_line_of_100_mib(self):
        self.lines(100 * MEBIBYTE)
        memory = self.measured("in.ndjson", 0)
        self.assertEqual(self.ids(), ["first", "long", "last"])
        if not SANITIZED:
            self.assertLess(memory, 1000)
        self.note("line of 100 MiB", f"(a document; at most {memory} MiB of memory)")

    def test_a_line_over_the_limit(self):
        self.lines(200 * MEBIBYTE)
        memory = self.measured("in.ndjson", 3)
        self.assertEqual(self.ids(), ["first", "last"])
        self.assertIn("the record is longer than 134217728 bytes; its first bytes are kept", self.reasons()[0])
        self.assertLess(len(self.dead()[0]["document"]["raw"]), 5000)
        if not SANITIZED:
            self.assertLess(memory, 600)
        self.note("line of 200 MiB", f"{self.reasons()[0]} ({memory} MiB of memory)")

    def test_a_bomb(self):
        """1 GiB of zeros in 1 MiB of gzip: read as one line that is too long, never held."""
        with gzip.open(self.path("in.ndjson.gz"), "wb", 9) as out:
            for _ in range(1024 if not SANITIZED else 256):
                out.write(b"\0" * MEBIBYTE)
            out.write(b"\n" + LAST)
        memory = self.measured("in.ndjson.gz", 3)
        self.assertEqual(self.ids(), ["last"])
        if not SANITIZED:
            self.assertLess(memory, 600)
        self.note("gzip bomb of 1 GiB", f"{self.reasons()[0]} ({memory} MiB of memory)")

    def test_many_documents_cost_no_memory(self):
        with open(self.path("in.ndjson"), "wb") as out:
            for i in range(300_000):
                out.write(b'{"n":%d,"text":"the quick brown fox jumps over the lazy dog"}\nbad %d\n' % (i, i))
        memory = self.measured("in.ndjson", 3)
        self.assertEqual(len(self.ids()), 300_000)
        self.assertEqual(len(self.dead()), 300_000)
        if not SANITIZED:
            self.assertLess(memory, 100)
        self.note("300,000 faulty lines", f"({memory} MiB of memory)")


class Places(BadInputTest):
    """Sources and destinations that cannot be read or written: exit code 1 and nothing made."""

    def refused(self, name, source, dest, message, *more, code=1):
        with self.subTest(name):
            done = self.penstock("reindex", "--source", source, "--dest", dest, *more, code=code)
            self.assertIn(message, done.err)
            self.note(name, done.err.strip().splitlines()[0])

    def test_sources(self):
        os.mkdir(self.path("empty"))
        self.write("in.ndjson", FIRST)
        self.write("in.xml", b"<a/>")
        self.write("in.bz2", b"BZh91AY")
        self.write("noname", FIRST)
        os.symlink("nowhere", self.path("dangling.ndjson"))
        refused = self.refused
        refused("source that is not there", "gone.ndjson", "out.ndjson", "cannot open gone.ndjson: No such file or directory")
        refused("directory without files", "empty", "out.ndjson", "the directory empty holds no file that can be read")
        refused("glob without matches", "gone*.ndjson", "out.ndjson", "no file matches gone*.ndjson")
        refused("format that is not known", "in.xml", "out.ndjson", "cannot tell the format of in.xml from its name")
        refused("compression that is not known", "in.bz2", "out.ndjson", "cannot tell the format of in.bz2 from its name")
        refused("name without extension", "noname", "out.ndjson", "cannot tell the format of noname from its name")
        refused("link to nowhere", "dangling.ndjson", "out.ndjson", "No such file or directory")
        refused("file behind a file", "in.ndjson/x.ndjson", "out.ndjson", "Not a directory")
        refused("index that is not there", "index:gone", "out.ndjson", "no such index [gone]")
        refused("empty source", "", "out.ndjson", "the source has no name")
        refused("empty destination", "in.ndjson", "", "the destination has no name")
        self.assertFalse(os.path.exists(self.path("out.ndjson")))

    def test_destinations(self):
        self.write("in.ndjson", FIRST)
        refused = self.refused
        refused("destination in a folder that is not there", "in.ndjson", "gone/out.ndjson", "gone/out.ndjson: No such file")
        refused("destination behind a file", "in.ndjson", "in.ndjson/out.ndjson", "in.ndjson/out.ndjson: Not a directory")
        os.mkdir(self.path("folder"))
        refused("destination that is a directory", "in.ndjson", "folder", "cannot open for writing folder: Is a directory")
        refused("compressed destination", "in.ndjson", "out.ndjson.gz", "cannot write compressed files")
        refused("device that is full", "in.ndjson", "/dev/full", "No space left on device")
        refused("index name in capitals", "in.ndjson", "index:UPPER", "must be lowercase")
        refused("index name with a slash", "in.ndjson", "index:a/b", "Invalid index name [a/b]")
        refused("index name that climbs", "in.ndjson", "index:..", "Invalid index name [..]")
        refused("index name of 300 letters", "in.ndjson", "index:" + "a" * 300, "Invalid index name")
        refused("index without a name", "in.ndjson", "index:", "Invalid index name []")
        refused("dead letter that cannot be written", "in.ndjson", "out.ndjson", "in.ndjson", "--dead-letter",
                "in.ndjson/x/dead.ndjson")
        refused("checkpoint that cannot be written", "in.ndjson", "out.ndjson", "in.ndjson", "--checkpoint",
                "in.ndjson/x/c.json")

    def test_standard_output_that_is_full(self):
        self.write("in.ndjson", FIRST)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PENSTOCK, "reindex", "--source", "in.ndjson", "--dest", "-"], cwd=self.folder, stdout=full,
                                  stderr=subprocess.PIPE, text=True, env={**os.environ, "PENSTOCK_CONFIG": ""}, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output: No space left on device", done.stderr)
        self.note("standard output that is full", re.search("penstock: .*", done.stderr).group())

    def test_a_reader_that_goes_away(self):
        self.write("in.ndjson", FIRST * 100_000)
        process = subprocess.Popen([PENSTOCK, "reindex", "--source", "in.ndjson", "--dest", "-", "--quiet"], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PENSTOCK_CONFIG": ""})
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        self.assertIn(process.wait(timeout=60), (1, -13), err)
        self.note("reader that goes away (| head -1)", "(ends by SIGPIPE, quietly)" if process.returncode < 0 else err)

    def test_data_directory_under_a_file(self):
        self.write("in.ndjson", FIRST)
        self.write("file", b"")
        self.write("penstock.yml", "data_directory: file/data\n")
        for dest in ("out.ndjson", "index:x"):
            self.refused("data directory under a file, to " + dest, "in.ndjson", dest, "file/data")

    @unittest.skipIf(os.geteuid() == 0, "root may read and write everything")
    def test_permission_denied(self):
        self.write("in.ndjson", FIRST)
        self.write("secret.ndjson", FIRST)
        os.chmod(self.path("secret.ndjson"), 0)
        os.mkdir(self.path("locked"))
        os.chmod(self.path("locked"), stat.S_IRUSR | stat.S_IXUSR)
        self.refused("source without permission", "secret.ndjson", "out.ndjson", "Permission denied", code=None)
        self.refused("destination without permission", "in.ndjson", "locked/out.ndjson", "Permission denied")

    def test_a_damaged_index(self):
        self.write("in.ndjson", FIRST)
        self.penstock("reindex", "--source", "in.ndjson", "--dest", "index:x", "--quiet")
        files = [os.path.join(folder, name) for folder, _, names in os.walk(self.path("data")) for name in names
                 if "index" in folder or name.endswith((".db", ".sqlite"))]
        self.assertTrue(files)
        for file in files:
            with open(file, "wb") as damaged:
                damaged.write(b"this is no database" * 1000)
        for source, dest in (("index:x", "out.ndjson"), ("in.ndjson", "index:x")):
            self.refused(f"damaged index, from {source}", source, dest, "index x", code=1)


class Pipes(BadInputTest):
    def fed(self, content, *more, code=3):
        os.mkfifo(self.path("pipe"))

        def feed():
            with open(self.path("pipe"), "wb") as out:
                out.write(content)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            return self.reindex("pipe", *more, code=code)
        finally:
            feeder.join(timeout=10)
            os.remove(self.path("pipe"))

    def test_a_pipe_that_closes_early(self):
        self.fed(FIRST + LAST + b'{"_id":"thi')
        self.assertEqual(self.ids(), ["first", "last"])
        self.note("pipe that closes inside a line", self.reasons()[0])

    def test_a_pipe_that_closes_at_once(self):
        response, _ = self.fed(b"", code=0)
        self.assertEqual(response["total"], 0)
        self.note("pipe that closes at once", "(fine)")

    def test_a_compressed_pipe_that_closes_early(self):
        response, _ = self.fed(gzip.compress((FIRST + LAST) * 10000)[:100])
        self.assertTrue(response["source_incomplete"])
        self.note("gzip from a pipe that closes early", self.reasons()[-1])


class IntoTheIndex(BadInputTest):
    """What a file takes and the index refuses, document by document."""

    def refuse(self, name, documents, message, arrive=("first", "last")):
        with self.subTest(name):
            self.clean()
            self.write("in.ndjson", FIRST + b"".join(json.dumps(doc).encode() + b"\n" for doc in documents) + LAST)
            response, _ = self.reindex("in.ndjson", dest="index:x")
            self.assertEqual(response["dead_letter_count"], 1)
            self.assertIn(message, self.reasons()[0])
            self.note(name, self.reasons()[0])
            self.penstock("reindex", "--source", "index:x", "--dest", "out.ndjson", "--quiet")
            self.assertEqual(set(self.ids()), set(arrive))
            self.assertIn("source", self.dead()[0]["document"])

    def test_documents(self):
        vector = [0.5] * 200
        good = {"_id": "v", "v": vector}
        arrive = ("first", "v", "last")
        self.refuse("_id that is empty", [{"_id": "", "n": 1}], "if _id is specified it must not be empty")
        self.refuse("_id of 600 bytes", [{"_id": "i" * 600}], "id is too long, must be no longer than 512 bytes but was: 600")
        self.refuse("vector with the wrong dimensions", [good, {"_id": "w", "v": vector[:150]}],
                    "150", arrive)
        self.refuse("vector with a string inside", [good, {"_id": "w", "v": vector[:-1] + ["x"]}], "[v]", arrive)
        self.refuse("vector with null inside", [good, {"_id": "w", "v": vector[:-1] + [None]}], "[v]", arrive)
        self.refuse("vector with a number that is too large", [good, {"_id": "w", "v": vector[:-1] + [1e300]}], "[v]", arrive)


class Pipelines(ToolTest):
    def test_faulty_definitions(self):
        folder = os.path.join(ROOT, "tests/cases/faulty_pipelines")
        names = sorted(name for name in os.listdir(folder) if not name.endswith(".expected"))
        self.assertGreaterEqual(len(names), 40)
        for name in names:
            with self.subTest(name):
                done = self.penstock("lint", os.path.join(folder, name), code=None, timeout=60)
                self.assertEqual(done.returncode, 1, done.err)
                self.assertIn(name, done.err)
                TABLE.append(("lint " + name, done.err.strip().splitlines()[0].replace(folder + "/", "")))


def print_table():
    width = max(len(name) for name, _ in TABLE)
    print("\n" + "\n".join(f"{name:{width}}  {message}" for name, message in TABLE), file=sys.stderr)


if __name__ == "__main__":
    outcome = unittest.main(exit=False).result
    if TABLE and {"-v", "--verbose"} & set(sys.argv):
        print_table()
    sys.exit(0 if outcome.wasSuccessful() else 1)
