"""The official clients, each with a scripted session of its own."""

import os
import shutil
import subprocess
import sys
import unittest

from serving import ServingTest

FOLDER = os.path.dirname(os.path.abspath(__file__))
MODULES = os.environ.get("PENSTOCK_NODE_MODULES", os.path.join(FOLDER, "node_modules"))


class Clients(ServingTest):
    def session(self, compat, *command, **environment):
        url = self.start("--compat", compat)
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=900, check=False,
                              env={**os.environ, **environment})
        print(done.stdout, end="")
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{self.errors()}")

    def javascript(self, kind, package, compat):
        if shutil.which("node") is None:
            self.skipTest("node is not installed")
        if not os.path.isdir(os.path.join(MODULES, package)):
            self.skipTest(f"the client {package} is not installed: see tools/setup")
        self.session(compat, "node", os.path.join(FOLDER, "session.mjs"), kind)

    def test_elasticsearch_9(self):
        self.javascript("elasticsearch9", "elasticsearch9", "elasticsearch:9")

    def test_elasticsearch_8(self):
        self.javascript("elasticsearch8", "elasticsearch8", "elasticsearch:8")

    def test_opensearch(self):
        self.javascript("opensearch", "@opensearch-project/opensearch", "opensearch:3")

    def test_python(self):
        # Debian's package belongs to Debian's interpreter, which need not be the one that runs this.
        for python in (sys.executable, "/usr/bin/python3"):
            if subprocess.run([python, "-c", "import elasticsearch"], capture_output=True, check=False).returncode == 0:
                self.session("elasticsearch:7", python, os.path.join(FOLDER, "session.py"))
                return
        self.skipTest("python3-elasticsearch is not installed")


if __name__ == "__main__":
    unittest.main()
