"""What the end-to-end tests share: a scratch folder with a configuration, and calling the program in it."""

import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PENSTOCK = os.environ.get("PENSTOCK", os.path.join(ROOT, "build/release/penstock"))
PLUGINS = os.environ.get("PENSTOCK_PLUGINS", os.path.join(ROOT, "build/release/plugins"))


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = self.scratch.name
        self.write("penstock.yml", f"""
data_directory: data
model_directories: [{ROOT}/pipelines/models]
plugin_directories: [{PLUGINS}]
pipeline_directories: [., {ROOT}/pipelines]
deployments:
  ingest: {{model_id: use-lite-en, timeout: 5m}}
  search: {{model_id: use-lite-en, timeout: 5m}}
""")

    def tearDown(self):
        self.scratch.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode, **({} if mode == "wb" else {"encoding": "utf-8"})) as out:
            out.write(content)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def penstock(self, *arguments, stdin=b"", code=0, timeout=300):
        """Runs the program in the scratch folder; its exit code must be `code` (None: any)."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([PENSTOCK, *arguments], cwd=self.folder, input=stdin, capture_output=True,
                              timeout=timeout, env={**os.environ, "PENSTOCK_CONFIG": ""})
        done.out = done.stdout.decode("utf-8", "replace")
        done.err = done.stderr.decode("utf-8", "replace")
        if code is not None:
            self.assertEqual(done.returncode, code, f"{arguments}\n{done.out}\n{done.err}")
        return done
