"""A running `penstock serve` with a folder of its own, for tests that talk to it."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PENSTOCK = os.environ.get("PENSTOCK", os.path.join(ROOT, "build/release/penstock"))
PLUGINS = os.environ.get("PENSTOCK_PLUGINS", os.path.join(ROOT, "build/release/plugins"))


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class ServingTest(unittest.TestCase):
    """Starts a server with `start`; ends it, and looks at how it ended, by itself."""

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = self.scratch.name
        self.process = None
        self.config = os.path.join(self.folder, "penstock.yml")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(f"""
data_directory: data
model_directories: [{ROOT}/pipelines/models]
plugin_directories: [{PLUGINS}]
allowed_processors: 4
""")

    def tearDown(self):
        if self.process is not None:
            self.assertEqual(self.stop(), 0)
        self.scratch.cleanup()

    def penstock(self, *arguments, stdin=""):
        return subprocess.run([PENSTOCK, *arguments, "--config", self.config], input=stdin, capture_output=True,
                              text=True, timeout=60, check=False)

    def start(self, *arguments):
        """The address it listens on."""
        if "--port" not in arguments:
            arguments = ("--port", "0", *arguments)
        with open(os.path.join(self.folder, "stderr.txt"), "ab") as errors:
            self.process = subprocess.Popen(
                [PENSTOCK, "serve", "--config", self.config, *arguments], cwd=self.folder,
                stdout=subprocess.PIPE, stderr=errors, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (.*):(\d+)\n", line)
        if found is None:
            self.process.wait(30)
            self.fail(f"the server does not start: {line}{self.errors()}")
        self.url = f"http://127.0.0.1:{found[2]}"
        return self.url

    def errors(self):
        with open(os.path.join(self.folder, "stderr.txt"), encoding="utf-8", errors="replace") as text:
            return text.read()

    def stop(self, how=signal.SIGTERM):
        """Its exit status."""
        process, self.process = self.process, None
        process.send_signal(how)
        status = process.wait(120)
        process.stdout.close()
        return status

    def call(self, method, path, body=None, **headers):
        """One request; `body` may be a value, which is sent as JSON, or text."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        names.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=names)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())
