#!/usr/bin/env python3
"""What a process costs: start-up time without a model, libraries loaded, and memory with 1 and 3 deployments of one model.

    tools/bench/process_cost.py --penstock build/release/penstock --plugins build/release/plugins
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEGABYTE = 1024 * 1024


def peak_memory(command, stdin):
    """Peak resident bytes of a process."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write(stdin)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return usage.ru_maxrss * 1024


def start_up(command, stdin=b"", rounds=20):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, input=stdin, capture_output=True, check=True)
        times.append((time.perf_counter() - start) * 1000)
    return f"{min(times):.0f} ms best, {statistics.median(times):.0f} ms median of {rounds}"


def libraries(command, stdin=b""):
    """Names of the shared libraries that a run maps."""
    done = subprocess.run(command, input=stdin, capture_output=True, env={**os.environ, "LD_DEBUG": "files"})
    lines = done.stderr.decode(errors="replace").splitlines()
    return {line.split("file=")[1].split()[0] for line in lines if "generating link map" in line and "file=" in line}


def pipeline(folder, deployments):
    path = os.path.join(folder, f"embed{deployments}.yml")
    with open(path, "w") as out:
        out.write("processors:\n")
        for i in range(deployments):
            out.write(f"  - inference: {{model_id: d{i}, input_output: {{input_field: text, output_field: v{i}}}}}\n")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penstock", default="build/release/penstock")
    parser.add_argument("--plugins", default="build/release/plugins")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "penstock.yml")
        with open(config, "w") as out:
            out.write(f"data_directory: data\nmodel_directories: [{ROOT}/pipelines/models]\n"
                      f"plugin_directories: [{os.path.abspath(args.plugins)}]\nallowed_processors: 3\ndeployments:\n")
            for i in range(3):
                out.write(f"  d{i}: {{model_id: use-lite-en, cache_size: 0b}}\n")
        plain = os.path.join(folder, "plain.yml")
        with open(plain, "w") as out:
            out.write("processors: [{set: {field: a, value: 1}}]\n")

        version = [args.penstock, "--version"]
        run = [args.penstock, "run", plain, "--config", config]
        for name, command, stdin in (("--version", version, b""), ("run, no model", run, b'{"x":1}\n')):
            loaded = libraries(command, stdin)
            torch = sorted(one for one in loaded if "torch" in one)
            print(f"{name:16} {start_up(command, stdin)}; {len(loaded)} libraries, libtorch: {torch or 'not loaded'}")

        text = b'{"text":"memory of deployments"}\n'
        none = peak_memory(run, text)
        one = peak_memory([args.penstock, "run", pipeline(folder, 1), "--config", config], text)
        three = peak_memory([args.penstock, "run", pipeline(folder, 3), "--config", config], text)
        print(f"peak memory      no model {none / MEGABYTE:.0f} MB, 1 deployment {one / MEGABYTE:.0f} MB, "
              f"3 deployments of it {three / MEGABYTE:.0f} MB ({(three / one - 1) * 100:+.1f} %)")


if __name__ == "__main__":
    main()
