#!/usr/bin/env python3
"""Kills a reindex with SIGKILL at random moments, resumes it each time, and counts lost and doubled documents.

One document in a hundred fails in the pipeline: the dead letter is held to the same account.

    tools/bench/kill_test.py --penstock build/release/penstock --kills 50

The same corpus goes once undisturbed and once with kills into an index (op_type index, op_type create, four slices) and
into a file; all must agree. Exit code 0 when nothing is lost and nothing is doubled.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

DOCUMENTS_FAILED = 3  # the exit code of a whole run in which some documents did not get through

PIPELINE = """
processors:
  - rename: {field: n, target_field: number}
  - set: {field: label, value: "document {{{number}}}"}
  - split: {field: words, separator: " "}
  - convert: {field: number, type: integer}
"""


def write_corpus(path, count):
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            words = " ".join(random.Random(i).choices("alpha beta gamma delta epsilon".split(), k=12))
            out.write(json.dumps({"n": i if i % 100 else f"no. {i}", "words": words}) + "\n")


def reindex(args, folder, dest, dead_letter, *more):
    return [args.penstock, "reindex", "--config", os.path.join(folder, "penstock.yml"), "--source",
            os.path.join(folder, "corpus.ndjson"), "--dest", dest, "--pipeline", os.path.join(folder, "p.yml"),
            "--dead-letter", dead_letter, "--size", "50", "--quiet", *more]


def disturbed(args, folder, dest, dead_letter, *more):
    """Runs until it finishes, killed on the way as often as asked. Returns the number of kills that hit a running job."""
    kills = 0
    # Slow enough that the job outlives its kills.
    rate = ["--requests-per-second", str(args.documents / (args.kills + 1) / args.longest), "--resume", *more]
    while True:
        process = subprocess.Popen(reindex(args, folder, dest, dead_letter, *rate), stderr=subprocess.PIPE, text=True)
        if kills < args.kills:
            time.sleep(random.uniform(0.01, args.longest))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                continue
        error = process.communicate()[1]
        if process.returncode != DOCUMENTS_FAILED:
            sys.exit(f"reindex ended with {process.returncode}: {error}")
        return kills


def read_index(args, folder, name):
    path = os.path.join(folder, name + ".out.ndjson")
    subprocess.run([args.penstock, "reindex", "--config", os.path.join(folder, "penstock.yml"), "--source",
                    "index:" + name, "--dest", path, "--overwrite", "--quiet"], check=True)
    return read_file(path)


def read_file(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def dead(path):
    return [line["document"]["source"] | {"_id": line["document"]["id"]} for line in read_file(path)]


def compare(name, expected, found):
    """Lost and doubled documents, by id; a document that differs counts as lost."""
    wanted = {doc["_id"]: doc for doc in expected}
    seen = {}
    for doc in found:
        seen.setdefault(doc["_id"], []).append(doc)
    lost = sum(1 for key, doc in wanted.items() if doc not in seen.get(key, []))
    doubled = sum(len(docs) - 1 for docs in seen.values()) + sum(1 for key in seen if key not in wanted)
    print(f"{name}: {len(found)} documents, {lost} lost, {doubled} doubled", flush=True)
    return lost + doubled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penstock", default="build/release/penstock")
    parser.add_argument("--kills", type=int, default=50, help="for each destination")
    parser.add_argument("--documents", type=int, default=20000)
    parser.add_argument("--longest", type=float, default=0.4, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random.seed(args.seed)

    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(os.path.join(folder, "corpus.ndjson"), args.documents)
        with open(os.path.join(folder, "p.yml"), "w") as out:
            out.write(PIPELINE)
        with open(os.path.join(folder, "penstock.yml"), "w") as out:
            out.write("data_directory: data\n")
        def place(name):
            return os.path.join(folder, name)

        subprocess.run(reindex(args, folder, place("clean.ndjson"), place("clean-dead.ndjson")), check=False)
        expected = read_file(place("clean.ndjson"))
        expected_dead = dead(place("clean-dead.ndjson"))
        if len(expected) + len(expected_dead) != args.documents:
            sys.exit("the undisturbed run is not whole")
        for name, more in {"index": [], "create": ["--op-type", "create"], "slices": ["--slices", "4"]}.items():
            dead_letter = place(name + "-dead.ndjson")
            kills = disturbed(args, folder, "index:" + name, dead_letter, *more)
            bad += compare(f"{' '.join(['index', *more])}, {kills} kills", expected, read_index(args, folder, name))
            bad += compare("    its dead letter", expected_dead, dead(dead_letter))
        kills = disturbed(args, folder, place("killed.ndjson"), place("file-dead.ndjson"))
        found = read_file(place("killed.ndjson"))
        bad += compare(f"file, {kills} kills", expected, found)
        bad += compare("    its dead letter", expected_dead, dead(place("file-dead.ndjson")))
        if found != expected:
            print("file: the order differs from an undisturbed run")
            bad += 1
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
