"""Log shippers deliver through a pipeline, and lose nothing when the server is killed in the middle."""

import glob
import os
import shutil
import signal
import subprocess
import time
import unittest

from serving import ServingTest

LINES = 100_000
# What tools/setup-clients has unpacked.
UNPACKED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/shippers")


def unpacked(pattern):
    """A path in the unpacked packages; None when it is not there."""
    found = sorted(glob.glob(os.path.join(UNPACKED, pattern)))
    return os.path.realpath(found[0]) if found else None


def environment():
    libraries = [unpacked(pattern) for pattern in ("usr/lib/syslog-ng", "usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folder for folder in libraries if folder)}


def starts(command):
    """Whether a shipper runs here: a library may be missing on another release of Debian."""
    return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0

RSYSLOG = """
module(load="imfile" PollingInterval="1")
module(load="omelasticsearch")
global(workDirectory="{folder}/work" maxMessageSize="64k")
template(name="document" type="list" option.jsonf="on") {{ property(outname="message" name="msg" format="jsonf") }}
template(name="id" type="string" string="%msg:R,ERE,1,FIELD:line ([0-9]+)--end%")
ruleset(name="send") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" usehttps="off" template="document"
         searchIndex="logs" searchType="" bulkmode="on" maxbytes="1m" bulkid="id" dynbulkid="on"
         pipelineName="shipped" timeout="1m" action.resumeRetryCount="-1" action.resumeInterval="1"
         queue.type="linkedlist" queue.size="250000" queue.dequeueBatchSize="2000" queue.workerThreads="1"
         queue.timeoutEnqueue="600000")
}}
input(type="imfile" file="{folder}/lines.log" tag="t" ruleset="send")
"""

SYSLOG_NG = """@version: 3.38
options {{ stats-freq(0); }};
source lines {{ file("{folder}/lines.log" flags(no-parse) follow-freq(1) log-fetch-limit(1000) log-iw-size(10000)); }};
destination penstock {{
  http(url("http://127.0.0.1:{port}/logs/_bulk?pipeline=shipped") method("POST")
       headers("Content-Type: application/x-ndjson") batch-lines(2000) batch-bytes(1048576Kb) batch-timeout(1000)
       retries(1000) time-reopen(1) timeout(60) workers(1)
       disk-buffer(mem-buf-length(200000) disk-buf-size(268435456) reliable(no) dir("{folder}/work"))
       response-action(429 => retry, 503 => retry)
       body-suffix("\\n") delimiter("\\n")
       body("{{\\"index\\":{{\\"_id\\":\\"$(substr $MESSAGE 5 6)\\"}}}}\\n$(format-json message=$MESSAGE)"));
}};
log {{ source(lines); destination(penstock); flags(flow-control); }};
"""


class Shippers(ServingTest):
    def deliver(self, command, configuration):
        os.mkdir(os.path.join(self.folder, "work"))
        url = self.start("--request-memory", "64")
        port = url.rsplit(":", 1)[1]
        self.call("PUT", "/_ingest/pipeline/shipped", {"processors": [
            {"split": {"field": "message", "separator": " ", "target_field": "words"}},
            {"set": {"field": "shipped", "value": True}}]})
        with open(os.path.join(self.folder, "lines.log"), "w", encoding="utf-8") as lines:
            for n in range(LINES):
                lines.write(f"line {n:06d} of the log of a machine that has much to say\n")
        file = os.path.join(self.folder, "shipper.conf")
        with open(file, "w", encoding="utf-8") as out:
            out.write(configuration.format(folder=self.folder, port=port))
        with open(os.path.join(self.folder, "shipper.txt"), "wb") as log:
            shipper = subprocess.Popen([part.format(file=file, folder=self.folder) for part in command], stdout=log,
                                       stderr=log, env=environment())
        try:
            self.wait_for(LINES // 4, shipper)
            self.stop(signal.SIGKILL)
            time.sleep(2)
            self.start("--port", port, "--request-memory", "64")
            self.wait_for(LINES, shipper)
        finally:
            shipper.terminate()
            shipper.wait(60)
        found = self.call("GET", "/logs/_search?size=0", {"query": {"term": {"shipped": True}}, "track_total_hits": True})
        self.assertEqual(found.json["hits"]["total"]["value"], LINES)

    def wait_for(self, count, shipper):
        deadline = time.time() + 600
        found = -1
        while found < count:
            self.assertIsNone(shipper.poll(), self.shipper_log())
            self.assertLess(time.time(), deadline, f"{found} of {count} came; {self.shipper_log()}")
            time.sleep(0.2)
            answer = self.call("GET", "/logs/_count")
            found = answer.json.get("count", 0)
        self.assertLessEqual(found, LINES)

    def shipper_log(self):
        with open(os.path.join(self.folder, "shipper.txt"), encoding="utf-8", errors="replace") as log:
            return log.read()[-3000:]

    def test_rsyslog(self):
        program = unpacked("usr/sbin/rsyslogd") or shutil.which("rsyslogd")
        if program is None or not starts([program, "-v"]):
            self.skipTest("rsyslog is not there; tools/setup-clients fetches it")
        modules = ["-M", unpacked("usr/lib/*/rsyslog")] if unpacked("usr/lib/*/rsyslog") else []
        self.deliver([program, "-n", "-f", "{file}", "-i", "{folder}/pid", *modules], RSYSLOG)

    def test_syslog_ng(self):
        program = unpacked("usr/sbin/syslog-ng") or shutil.which("syslog-ng")
        modules = unpacked("usr/lib/syslog-ng/*.*/")
        if program is None or not starts([program, "--version", *([f"--module-path={modules}"] if modules else [])]):
            self.skipTest("syslog-ng is not there; tools/setup-clients fetches it")
        self.deliver([program, "--foreground", "--no-caps", "--cfgfile={file}", "--persist-file={folder}/persist",
                      "--control={folder}/control", "--pidfile={folder}/pid",
                      *([f"--module-path={modules}"] if modules else [])], SYSLOG_NG)


if __name__ == "__main__":
    unittest.main()
