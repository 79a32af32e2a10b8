#!/usr/bin/env python3
"""Search quality of a deployment on a corpus with judgements: nDCG@10, hit@1, recall@100.

    tools/bench/retrieval.py CORPUS --penstock build/release/penstock --config pipelines/penstock.yml

CORPUS is a folder with docs.ndjson (_id, title, text), queries.ndjson (_id, text) and qrels.ndjson (query_id, doc_id,
relevance). Documents are embedded as title + " " + text through the deployment `ingest`, queries through `search`; gains
are the judgements themselves (linear), the ranking is exact.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

PIPELINE = """
processors:
  - set: {field: content, value: "{{{title}}} {{{text}}}"}
  - inference:
      model_id: INGEST
      input_output: {input_field: content, output_field: embedding}
"""


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def dcg(gains):
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--penstock", default="build/release/penstock")
    parser.add_argument("--config", default="pipelines/penstock.yml", help="configuration to take deployments from")
    parser.add_argument("--ingest", default="ingest")
    parser.add_argument("--search", default="search")
    parser.add_argument("--hybrid", action="store_true", help="words and meaning")
    parser.add_argument("--at-least", type=float, help="fail below this nDCG@10")
    args = parser.parse_args()

    judged = {}
    for row in read(os.path.join(args.corpus, "qrels.ndjson")):
        if row["relevance"] > 0:
            judged.setdefault(row["query_id"], {})[row["doc_id"]] = row["relevance"]

    with tempfile.TemporaryDirectory() as folder:
        pipeline = os.path.join(folder, "retrieval.yml")
        with open(pipeline, "w") as out:
            out.write(PIPELINE.replace("INGEST", args.ingest))
        config = os.path.join(folder, "penstock.yml")
        base = os.path.dirname(os.path.abspath(args.config))
        with open(args.config) as given, open(config, "w") as out:
            # The same configuration with its own data directory; relative paths meant the given file's folder.
            for line in given:
                if line.startswith("data_directory"):
                    line = "data_directory: " + os.path.join(folder, "data") + "\n"
                elif "_directories:" in line:
                    name, value = line.split(":", 1)
                    paths = [os.path.join(base, p.strip()) for p in value.strip(" []\n").split(",")]
                    line = f"{name}: [{', '.join(paths)}]\n"
                out.write(line)
        subprocess.run([args.penstock, "reindex", "--config", config, "--source",
                        os.path.join(args.corpus, "docs.ndjson"), "--dest", "index:corpus", "--pipeline", pipeline],
                       check=True)
        command = [args.penstock, "search", "corpus", "--config", config, "--queries",
                   os.path.join(args.corpus, "queries.ndjson"), "--deployment", args.search, "--k", "100", "--exact",
                   "--json"] + (["--hybrid"] if args.hybrid else [])
        answers = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    ndcg, hit, recall, queries = 0.0, 0, 0.0, 0
    for line in answers:
        answer = json.loads(line)
        relevant = judged.get(answer["query_id"])
        if not relevant:
            continue
        ranked = [one["_id"] for one in answer["hits"]["hits"]]
        queries += 1
        best = dcg(sorted(relevant.values(), reverse=True)[:10])
        ndcg += dcg([relevant.get(doc, 0) for doc in ranked[:10]]) / best
        hit += bool(ranked) and ranked[0] in relevant
        recall += sum(doc in relevant for doc in ranked[:100]) / len(relevant)
    if queries == 0:
        sys.exit("no query has a judgement")
    print(f"{os.path.basename(os.path.normpath(args.corpus))}: {queries} queries, nDCG@10 {ndcg / queries:.4f}, "
          f"hit@1 {hit / queries:.3f}, recall@100 {recall / queries:.3f}")
    if args.at_least is not None and ndcg / queries < args.at_least:
        sys.exit(f"nDCG@10 is below {args.at_least}")


if __name__ == "__main__":
    main()
