#!/usr/bin/env python3
"""Load on a running `penstock serve`: bulk throughput, latency of small requests, many connections, malformed requests.

  serve_load.py http://127.0.0.1:9200 [--pid PID] [--documents N] [--connections N] [--malformed N] [--pipeline ID]

Prints figures of this run; ratios between machines mean nothing. With --pid the server's memory before and after.
"""
import argparse
import asyncio
import json
import random
import time
import urllib.parse


def resident(pid):
    """MiB, or nothing when the process is not known."""
    if pid is None:
        return None
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Connection:
    def __init__(self, host, port):
        self.host, self.port = host, port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def request(self, method, path, body=b"", kind="application/json"):
        """Status and body."""
        head = (f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        self.writer.write(head.encode() + body)
        await self.writer.drain()
        status = int((await self.reader.readline()).split()[1])
        length = 0
        while (line := await self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, await self.reader.readexactly(length)


def bulk_body(first, count):
    lines = []
    for n in range(first, first + count):
        lines.append(json.dumps({"index": {"_id": str(n)}}))
        lines.append(json.dumps({"message": f"line {n} of the load", "level": ("info", "warn")[n % 2], "n": n,
                                 "host": {"name": f"host-{n % 97}", "ip": f"10.0.{n % 251}.{n % 13}"}}))
    return ("\n".join(lines) + "\n").encode()


async def bulk(host, port, options):
    path = "/load/_bulk" + (f"?pipeline={options.pipeline}" if options.pipeline else "")
    batches = [(first, min(1000, options.documents - first)) for first in range(0, options.documents, 1000)]
    begin = time.perf_counter()

    async def worker():
        async with Connection(host, port) as connection:
            while batches:
                status, body = await connection.request("POST", path, bulk_body(*batches.pop()), "application/x-ndjson")
                assert status == 200 and body.startswith(b'{"errors":false'), (status, body[:500])

    await asyncio.gather(*(worker() for _ in range(4)))
    took = time.perf_counter() - begin
    print(f"bulk: {options.documents} documents in {took:.1f} s, {options.documents / took:.0f} documents/s")


async def small_requests(host, port, options):
    times = []

    async def worker():
        async with Connection(host, port) as connection:
            for _ in range(500):
                begin = time.perf_counter()
                status, _ = await connection.request("GET", f"/load/_doc/{random.randrange(options.documents)}")
                assert status == 200, status
                times.append(time.perf_counter() - begin)

    await asyncio.gather(*(worker() for _ in range(8)))
    times.sort()
    print(f"get: {len(times)} requests on 8 connections, p50 {times[len(times) // 2] * 1000:.2f} ms, "
          f"p99 {times[len(times) * 99 // 100] * 1000:.2f} ms")


async def many_connections(host, port, options):
    connections = [Connection(host, port) for _ in range(options.connections)]
    for at in range(0, len(connections), 100):
        await asyncio.gather(*(one.__aenter__() for one in connections[at:at + 100]))
    begin = time.perf_counter()
    answers = await asyncio.gather(*(one.request("GET", "/") for one in connections))
    took = time.perf_counter() - begin
    good = sum(1 for status, _ in answers if status == 200)
    for one in connections:
        await one.__aexit__()
    print(f"connections: {good} of {len(connections)} open at once answered, all within {took:.2f} s")
    assert good == len(connections)


def malformed(rng):
    """A request that is wrong somewhere."""
    body = bulk_body(0, 2)
    good = b"POST /load/_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    kind = rng.randrange(6)
    if kind == 0:  # cut off
        return good[:rng.randrange(len(good))]
    if kind == 1:  # some bytes are others
        broken = bytearray(good)
        for _ in range(rng.randrange(1, 20)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        return bytes(broken)
    if kind == 2:
        return rng.randbytes(rng.randrange(1, 2000))
    if kind == 3:
        return b"GET /" + b"a" * rng.randrange(1, 40000) + b" HTTP/1.1\r\n\r\n"
    if kind == 4:
        return (b"POST /load/_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"%x\r\n" % rng.randrange(2 ** 40) + rng.randbytes(50))
    return (b"PUT /_ingest/pipeline/x HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 60\r\n\r\n"
            + rng.randbytes(60))


async def malformed_requests(host, port, options):
    rng = random.Random(7)
    answers = {}

    async def one():
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(malformed(rng))
            writer.write_eof()
            line = await asyncio.wait_for(reader.readline(), 60)
            status = line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"
        except OSError:
            status = "closed"
        finally:
            writer.close()
        answers[status] = answers.get(status, 0) + 1

    for _ in range(0, options.malformed, 50):
        await asyncio.gather(*(one() for _ in range(50)))
    print(f"malformed: {sum(answers.values())} requests, answers {dict(sorted(answers.items()))}")
    async with Connection(host, port) as connection:
        status, _ = await connection.request("GET", "/")
        assert status == 200, "the server is gone"


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--pipeline", default="")
    options = parser.parse_args()
    address = urllib.parse.urlparse(options.url)
    before = resident(options.pid)
    await bulk(address.hostname, address.port, options)
    await small_requests(address.hostname, address.port, options)
    await many_connections(address.hostname, address.port, options)
    await malformed_requests(address.hostname, address.port, options)
    if before is not None:
        print(f"memory: {before:.0f} MiB before, {resident(options.pid):.0f} MiB after")


if __name__ == "__main__":
    asyncio.run(main())
