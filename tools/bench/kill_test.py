#!/usr/bin/env python3
"""Kills a reindex with SIGKILL at random moments, resumes it each time, and counts lost and doubled documents.

    tools/bench/kill_test.py --penstock build/release/penstock --kills 50

The same corpus goes once undisturbed and once with kills into an index and into a file; both must agree. Exit code 0 when
nothing is lost and nothing is doubled.
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

PIPELINE = """
processors:
  - rename: {field: n, target_field: number}
  - set: {field: label, value: "document {{{number}}}"}
  - split: {field: words, separator: " "}
"""


def write_corpus(path, count):
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            words = " ".join(random.Random(i).choices("alpha beta gamma delta epsilon".split(), k=12))
            out.write(json.dumps({"n": i, "words": words}) + "\n")


def reindex(args, folder, dest, *more):
    return [args.penstock, "reindex", "--config", os.path.join(folder, "penstock.yml"), "--source",
            os.path.join(folder, "corpus.ndjson"), "--dest", dest, "--pipeline", os.path.join(folder, "p.yml"),
            "--size", "50", "--quiet", *more]


def disturbed(args, folder, dest, op_type):
    """Runs until it finishes, killed on the way as often as asked. Returns the number of kills that hit a running job."""
    kills = 0
    rate = ["--requests-per-second", str(args.rate), "--resume", "--op-type", op_type]
    while True:
        process = subprocess.Popen(reindex(args, folder, dest, *rate), stderr=subprocess.PIPE, text=True)
        if kills < args.kills:
            time.sleep(random.uniform(0.01, args.longest))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                continue
        error = process.communicate()[1]
        if process.returncode != 0:
            sys.exit(f"reindex failed with {process.returncode}: {error}")
        return kills


def read_index(args, folder, name):
    path = os.path.join(folder, name + ".out.ndjson")
    subprocess.run([args.penstock, "reindex", "--config", os.path.join(folder, "penstock.yml"), "--source",
                    "index:" + name, "--dest", path, "--overwrite", "--quiet"], check=True)
    return read_file(path)


def read_file(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def compare(name, expected, found):
    """Lost and doubled documents, by id; a document that differs counts as lost."""
    wanted = {doc["_id"]: doc for doc in expected}
    seen = {}
    for doc in found:
        seen.setdefault(doc["_id"], []).append(doc)
    lost = sum(1 for key, doc in wanted.items() if doc not in seen.get(key, []))
    doubled = sum(len(docs) - 1 for docs in seen.values()) + sum(1 for key in seen if key not in wanted)
    print(f"{name}: {len(found)} documents, {lost} lost, {doubled} doubled")
    return lost + doubled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penstock", default="build/release/penstock")
    parser.add_argument("--kills", type=int, default=50, help="for each destination")
    parser.add_argument("--documents", type=int, default=20000)
    parser.add_argument("--rate", type=float, default=4000, help="documents a second, so that a run lasts")
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
        clean = os.path.join(folder, "clean.ndjson")
        subprocess.run(reindex(args, folder, clean), check=True)
        expected = read_file(clean)
        for op_type in ("index", "create"):
            kills = disturbed(args, folder, "index:killed-" + op_type, op_type)
            bad += compare(f"index, op_type {op_type}, {kills} kills", expected,
                           read_index(args, folder, "killed-" + op_type))
        target = os.path.join(folder, "killed.ndjson")
        kills = disturbed(args, folder, target, "index")
        found = read_file(target)
        bad += compare(f"file, {kills} kills", expected, found)
        if found != expected:
            print("file: the order differs from an undisturbed run")
            bad += 1
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
