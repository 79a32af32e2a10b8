"""One scripted session of Debian's Python client with `penstock serve`.

    python3 session.py URL

Prints a line a step and ends with 1 at the first thing that is not as it must be.
"""
import sys
import time

import elasticsearch
import elasticsearch.helpers

DOCUMENTS = 5000
START = [time.time()]


def done(what):
    print(f"python {elasticsearch.__versionstr__}: {what} ({(time.time() - START[0]) * 1000:.0f} ms)", flush=True)
    START[0] = time.time()


def rejected(call, exception, status, kind):
    try:
        call()
    except exception as error:
        assert error.status_code == status, error
        assert error.error == kind, error
    else:
        raise AssertionError(f"not refused with {status}")


def main(url):
    client = elasticsearch.Elasticsearch([url], timeout=120, max_retries=0)

    def raw(method, path, body=None, **params):
        return client.transport.perform_request(method, path, params=params, body=body)

    done("version " + client.info()["version"]["number"])

    pipeline = {
        "processors": [
            {"set": {"field": "kind", "value": "speech"}},
            {"rename": {"field": "president", "target_field": "speaker.name"}},
            {"chunk": {"field": "text", "strategy": "sentence", "max_chunk_size": 50, "sentence_overlap": 0}},
            {"inference": {"model_id": "ingest", "input_output": [
                {"input_field": "chunks.text", "output_field": "chunks.embedding"}]}},
        ]
    }
    assert client.ingest.put_pipeline(id="embed", body=pipeline)["acknowledged"]
    assert client.ingest.get_pipeline(id="embed")["embed"] == pipeline
    rejected(lambda: client.ingest.put_pipeline(id="bad", body={"processors": [{"set": {}}]}),
             elasticsearch.RequestError, 400, "parse_exception")
    done("pipeline put")

    for deployment, parameters in (
            ("ingest", {"number_of_allocations": 2, "queue_capacity": 2048, "wait_for": "started"}),
            ("search", {"threads_per_allocation": 2, "queue_capacity": 8, "wait_for": "starting"})):
        raw("POST", "/_ml/trained_models/use-lite-en/deployment/_start", deployment_id=deployment, **parameters)

    def deployment_stats(wanted):
        stats = client.ml.get_trained_models_stats(model_id="use-lite-en")["trained_model_stats"]
        return next(one["deployment_stats"] for one in stats if one["deployment_stats"]["deployment_id"] == wanted)

    while deployment_stats("search")["allocation_status"]["state"] != "fully_allocated":
        time.sleep(0.05)
    done("two deployments started")

    presidents = ["Washington", "Adams", "Jefferson", "Madison"]
    written, problems = elasticsearch.helpers.bulk(client, (
        {"_index": "speeches", "_id": str(i), "president": presidents[i % 4],
         "text": f"Speech number {i} speaks about the harvest, the army and the treasury."}
        for i in range(DOCUMENTS)))
    assert (written, problems) == (DOCUMENTS, [])
    assert client.count(index="speeches")["count"] == DOCUMENTS
    done(f"{DOCUMENTS} documents in bulk")

    task = client.reindex({"source": {"index": "speeches"}, "dest": {"index": "embedded", "pipeline": "embed"}},
                          wait_for_completion=False)["task"]
    while True:
        time.sleep(0.2)
        state = client.tasks.get(task_id=task)
        if state["completed"]:
            break
    assert "error" not in state, state["error"]
    assert state["response"]["created"] == DOCUMENTS, state["response"]
    done("reindex through the pipeline, followed as a task")

    hits = client.search(index="embedded", body={"query": {"match": {"text": "number 4711"}}})["hits"]["hits"]
    assert hits[0]["_id"] == "4711" and hits[0]["_source"]["speaker"]["name"] == "Madison", hits[0]
    seen = sum(1 for _ in elasticsearch.helpers.scan(client, index="embedded", size=700, _source=False))
    assert seen == DOCUMENTS, seen
    done("search and scroll")

    answer = raw("POST", "/_ml/trained_models/search/_infer", {"docs": [{"text_field": "the state of the union"}]})
    assert len(answer["inference_results"][0]["predicted_value"]) >= 128
    node = deployment_stats("ingest")["nodes"][0]
    for name in ("average_inference_time_ms", "number_of_pending_requests", "peak_throughput_per_minute"):
        assert isinstance(node[name], (int, float)), node
    done("inference and statistics")

    rejected(lambda: raw("POST", "/_ml/trained_models/nobody/_infer", {"docs": [{"text_field": "x"}]}),
             elasticsearch.NotFoundError, 404, "resource_not_found_exception")
    rejected(lambda: client.get(index="nothing", id="1"), elasticsearch.NotFoundError, 404,
             "index_not_found_exception")
    flood = {"docs": [{"text_field": f"text {i} of a flood"} for i in range(400)]}
    rejected(lambda: raw("POST", "/_ml/trained_models/search/_infer", flood),
             elasticsearch.TransportError, 429, "es_rejected_execution_exception")
    done("404 and 429 as the client's exceptions")

    for deployment in ("ingest", "search"):
        assert raw("POST", f"/_ml/trained_models/{deployment}/deployment/_stop", force="true")["stopped"]
    client.indices.delete(index="speeches,embedded")
    client.ingest.delete_pipeline(id="embed")
    done("stopped")


if __name__ == "__main__":
    main(sys.argv[1])
