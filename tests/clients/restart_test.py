"""What was acknowledged, and what was under way, is there after a kill and a restart."""

import signal
import time
import unittest

from serving import ServingTest

DOCUMENTS = 20_000


def bulk(first, count):
    return "".join(f'{{"index":{{"_id":"{n}"}}}}\n{{"n":{n}}}\n' for n in range(first, first + count))


class Restart(ServingTest):
    def killed_and_started(self):
        self.stop(signal.SIGKILL)
        self.start()

    def test_a_reindex_goes_on(self):
        self.start()
        self.call("PUT", "/_ingest/pipeline/marks", {"processors": [{"set": {"field": "seen", "value": True}}]})
        answer = self.call("POST", "/from/_bulk", bulk(0, DOCUMENTS), Content_Type="application/x-ndjson")
        self.assertFalse(answer.json["errors"])
        task = self.call("POST", "/_reindex?wait_for_completion=false&requests_per_second=8000&slices=2", {
            "source": {"index": "from", "size": 200}, "dest": {"index": "to", "pipeline": "marks"}}).json["task"]
        for share in (5, 2):
            while self.call("GET", "/to/_count").json.get("count", 0) < DOCUMENTS // share:
                time.sleep(0.02)
            self.killed_and_started()
        state = self.call("GET", f"/_tasks/{task}?wait_for_completion=true&timeout=2m").json
        self.assertTrue(state["completed"], state)
        self.assertNotIn("error", state)
        self.assertEqual(state["response"]["failures"], [])
        self.assertEqual(self.call("GET", "/to/_count").json["count"], DOCUMENTS)
        seen = self.call("POST", "/to/_search", {"size": 0, "track_total_hits": True, "query": {"term": {"seen": True}}})
        self.assertEqual(seen.json["hits"]["total"]["value"], DOCUMENTS)
        # Its result is kept over a further restart.
        self.killed_and_started()
        self.assertEqual(self.call("GET", f"/_tasks/{task}").json["response"], state["response"])

    def test_what_clients_put_stays(self):
        self.start()
        self.call("PUT", "/_ingest/pipeline/p", {"processors": [{"set": {"field": "a", "value": 1}}]})
        self.call("PUT", "/books", {"settings": {"default_pipeline": "p"}, "aliases": {"library": {}}})
        self.call("PUT", "/library/_doc/1", {"b": 2})
        name = self.call("GET", "/").json["cluster_uuid"]
        self.killed_and_started()
        self.assertEqual(self.call("GET", "/library/_source/1").json, {"b": 2, "a": 1})
        self.assertEqual(self.call("PUT", "/library/_doc/2", {}).status, 201)
        self.assertEqual(self.call("GET", "/books/_source/2").json, {"a": 1})
        self.assertEqual(self.call("GET", "/").json["cluster_uuid"], name)


if __name__ == "__main__":
    unittest.main()
