"""Who may do what, over HTTP as it is sent."""

import base64
import os
import ssl
import subprocess
import unittest
import urllib.request

from serving import ServingTest


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Security(ServingTest):
    def key(self, *arguments):
        done = self.penstock("key", "create", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return "ApiKey " + done.stdout.strip()

    def test_open_on_the_loopback_alone(self):
        self.start()
        self.assertEqual(self.call("GET", "/").status, 200)
        self.assertEqual(self.call("GET", "/_security/_authenticate").json["username"], "_anonymous")
        done = self.penstock("serve", "--address", "0.0.0.0", "--port", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("it is not safe to listen on 0.0.0.0 without authentication", done.stderr)

    def test_users(self):
        self.assertEqual(self.penstock("user", "add", "ada", stdin="short\n").returncode, 1)
        self.assertEqual(self.penstock("user", "add", "ada", stdin="lovelace\n").returncode, 0)
        self.assertEqual(self.penstock("user", "list").stdout, "ada\n")
        self.start("--address", "0.0.0.0", "--request-log", "requests.log")
        refused = self.call("GET", "/?secret=1")
        self.assertEqual(refused.status, 401)
        self.assertIn("missing authentication credentials for REST request [/]", refused.json["error"]["reason"])
        self.assertIn("Basic", refused.headers["WWW-Authenticate"])
        for wrong in (basic("ada", "wrong"), basic("eve", "lovelace"), "Basic !!!", "Bearer x", "Basic",
                      "ApiKey " + base64.b64encode(b"ada:lovelace").decode()):
            self.assertEqual(self.call("GET", "/", Authorization=wrong).status, 401, wrong)
        self.assertEqual(self.call("GET", "/", Authorization=basic("ada", "lovelace")).status, 200)
        self.assertEqual(self.penstock("user", "delete", "ada").returncode, 0)
        self.assertEqual(self.call("GET", "/", Authorization=basic("ada", "lovelace")).status, 401,
                         "seen without a restart")
        self.assertEqual(self.call("GET", "/").status, 401, "nobody left is not everybody")
        with open(os.path.join(self.folder, "requests.log"), encoding="utf-8") as lines:
            log = lines.read()
        self.assertIn(" - GET / 401 ", log)
        self.assertIn(" ada GET / 200 ", log)
        for secret in ("lovelace", "secret", "Basic"):
            self.assertNotIn(secret, log)
        with open(os.path.join(self.folder, "data", "security.json"), encoding="utf-8") as stored:
            self.assertNotIn("lovelace", stored.read())

    def test_how_authentication_is_turned_off(self):
        stored = os.path.join(self.folder, "data", "security.json")
        self.assertEqual(self.penstock("user", "add", "ada", stdin="lovelace\n").returncode, 0)
        self.assertEqual(self.penstock("user", "delete", "ada").returncode, 0)
        self.start()
        self.assertEqual(self.call("GET", "/").status, 401, "a restart changes nothing")
        os.remove(stored)
        self.assertEqual(self.call("GET", "/").status, 401)
        self.assertEqual(self.stop(), 0)
        with open(stored, "w", encoding="utf-8") as out:
            out.write("{")
        done = self.penstock("serve", "--port", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("security.json is damaged", done.stderr)
        os.remove(stored)
        self.start()
        self.assertEqual(self.call("GET", "/").status, 200)

    def test_a_new_password_keeps_the_limits(self):
        self.assertEqual(self.penstock("user", "add", "ada", "--read-only", stdin="lovelace\n").returncode, 0)
        self.assertEqual(self.penstock("user", "add", "ada", stdin="babbage\n").returncode, 0)
        self.start()
        ada = basic("ada", "babbage")
        self.assertEqual(self.call("GET", "/_search", Authorization=ada).status, 200)
        self.assertEqual(self.call("PUT", "/books", Authorization=ada).status, 403)

    def test_keys_that_only_read_and_keys_for_some_indices(self):
        everything = self.key("admin")
        reader = self.key("reader", "--read-only")
        books = self.key("books", "--index", "books*")
        expired = self.key("old", "--expires", "1ms")
        self.start()

        def status(key, method, path, body=None):
            return self.call(method, path, body, Authorization=key).status

        self.assertEqual(status(expired, "GET", "/"), 401)
        self.assertEqual(status(everything, "PUT", "/books/_doc/1", {"a": 1}), 201)
        self.assertEqual(status(everything, "PUT", "/secret/_doc/1", {"a": 1}), 201)
        self.assertEqual(status(reader, "GET", "/secret/_doc/1"), 200)
        self.assertEqual(status(reader, "POST", "/secret/_search", {}), 200)
        self.assertEqual(status(reader, "PUT", "/secret/_doc/2", {}), 403)
        self.assertEqual(status(reader, "POST", "/_bulk", '{"delete":{"_index":"secret","_id":"1"}}\n'), 403)
        self.assertEqual(status(reader, "DELETE", "/secret"), 403)
        self.assertEqual(status(books, "GET", "/books/_doc/1"), 200)
        self.assertEqual(status(books, "PUT", "/books-2/_doc/1", {}), 201)
        self.assertEqual(status(books, "GET", "/secret/_doc/1"), 403)
        self.assertEqual(status(books, "GET", "/nothing/_doc/1"), 403)
        self.assertEqual(status(books, "GET", "/books,secret/_search"), 403)
        for path in ("/*/_search", "/_search"):
            hits = self.call("GET", path, Authorization=books).json["hits"]["hits"]
            self.assertEqual({hit["_index"] for hit in hits}, {"books", "books-2"}, path)
        self.assertEqual(status(books, "PUT", "/_ingest/pipeline/p", {"processors": []}), 403)
        many = self.call("POST", "/_mget", {"docs": [{"_index": "books", "_id": "1"}, {"_index": "secret", "_id": "1"}]},
                         Authorization=books).json["docs"]
        self.assertEqual([one.get("found") for one in many], [True, None])
        bulk = self.call("POST", "/_bulk", '{"index":{"_index":"secret","_id":"9"}}\n{}\n'
                         '{"index":{"_index":"books","_id":"9"}}\n{}\n', Authorization=books).json
        self.assertEqual([one["index"]["status"] for one in bulk["items"]], [403, 201])
        made = self.call("POST", "/_security/api_key", {"name": "made", "role_descriptors": {"r": {
            "indices": [{"names": ["books"], "privileges": ["read"]}]}}}, Authorization=everything).json
        self.assertEqual(status("ApiKey " + made["encoded"], "GET", "/books/_doc/1"), 200)
        self.assertEqual(status("ApiKey " + made["encoded"], "PUT", "/books/_doc/1", {}), 403)
        gone = self.call("DELETE", "/_security/api_key", {"ids": [made["id"]]}, Authorization=everything)
        self.assertEqual(gone.json["invalidated_api_keys"], [made["id"]])
        self.assertEqual(status("ApiKey " + made["encoded"], "GET", "/books/_doc/1"), 401)

    def test_tls(self):
        certificate, key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        self.start("--certificate", certificate, "--key", key)
        trusted = ssl.create_default_context(cafile=certificate)
        url = self.url.replace("http:", "https:")
        with urllib.request.urlopen(url, timeout=30, context=trusted) as answer:
            self.assertEqual(answer.status, 200)
        with self.assertRaises(OSError):
            urllib.request.urlopen(self.url, timeout=30)


if __name__ == "__main__":
    unittest.main()
