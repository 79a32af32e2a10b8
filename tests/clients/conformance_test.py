"""Elasticsearch's own REST tests, where they are at hand: what does not pass is listed, with the reason."""

import importlib.util
import json
import os
import subprocess
import sys
import unittest

from serving import ROOT, ServingTest

SHARED = os.environ.get("PENSTOCK_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
RUNNER = os.path.join(SHARED, "conformance", "run_es_yaml.py")
TESTS = os.path.join(SHARED, "conformance", "es-yaml")
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "not_passing.json")


def not_passing():
    """{test: reason}; tests are "file :: name"."""
    with open(LIST, encoding="utf-8") as text:
        reasons = json.load(text)
    return {test: reason for reason, tests in reasons.items() for test in tests}


@unittest.skipUnless(os.path.isfile(RUNNER), f"{RUNNER} is not there")
@unittest.skipUnless(importlib.util.find_spec("yaml"), "PyYAML is not installed")
class Conformance(ServingTest):
    def test_all_pass_but_those_listed(self):
        self.start()
        results = os.path.join(self.folder, "results.json")
        ran = subprocess.run([sys.executable, "-B", RUNNER, "--server", self.url, "--root", TESTS, "--json", results],
                             capture_output=True, text=True, timeout=900, check=False)
        self.assertIn(ran.returncode, (0, 1), ran.stdout + ran.stderr)
        with open(results, encoding="utf-8") as text:
            tests = json.load(text)["tests"]
        failed = {f"{test['file']} :: {test['test']}": f"{test['step']}: {test['why']}"
                  for test in tests if test["status"] == "failed"}
        listed = not_passing()
        self.assertEqual({name: why for name, why in failed.items() if name not in listed}, {})
        self.assertEqual(sorted(set(listed) - set(failed)), [], "these pass: take them off the list")
        print(ran.stdout.splitlines()[-1], file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
