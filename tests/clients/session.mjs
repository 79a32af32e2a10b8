// One scripted session of an official JavaScript client with `penstock serve`.
//
//   node session.mjs elasticsearch8|elasticsearch9|opensearch URL
//
// Prints a line a step and ends with 1 at the first thing that is not as it must be.
import assert from "node:assert/strict";

const [kind, url] = process.argv.slice(2);
const documents = 5000;

const { Client, errors } = await import(
  kind === "opensearch" ? "@opensearch-project/opensearch" : kind);
const client = new Client({ node: url, requestTimeout: 120_000, maxRetries: 0 });

// The OpenSearch client takes bodies apart from parameters and answers with {body}.
const opensearch = kind === "opensearch";
const answer = async (promise) => {
  const response = await promise;
  return opensearch ? response.body : response;
};
const raw = (method, path, body, querystring) =>
  answer(client.transport.request({ method, path, body, querystring }));
const rejects = async (promise, status, type) => {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof errors.ResponseError, String(error));
    assert.equal(error.statusCode, status);
    const cause = opensearch ? error.body.error : error.body?.error ?? error.meta.body.error;
    assert.equal(cause.type, type);
    return true;
  });
};
let last = Date.now();
const done = (what) => {
  console.log(`${kind}: ${what} (${Date.now() - last} ms)`);
  last = Date.now();
};

// ---- who answers
const info = await answer(client.info());
assert.match(info.version.number, opensearch ? /^3\./ : kind === "elasticsearch8" ? /^8\./ : /^9\./);
done(`version ${info.version.number}`);

// ---- a pipeline
const pipeline = {
  description: "cleans, cuts and embeds",
  processors: [
    { set: { field: "kind", value: "speech" } },
    { rename: { field: "president", target_field: "speaker.name", ignore_missing: true } },
    { chunk: { field: "text", strategy: "sentence", max_chunk_size: 50, sentence_overlap: 0 } },
    { inference: { model_id: "ingest", input_output: [
      { input_field: "chunks.text", output_field: "chunks.embedding" }] } },
  ],
};
const put = opensearch
  ? client.ingest.putPipeline({ id: "embed", body: pipeline })
  : client.ingest.putPipeline({ id: "embed", ...pipeline });
assert.equal((await answer(put)).acknowledged, true);
assert.deepEqual((await answer(client.ingest.getPipeline({ id: "embed" }))).embed, pipeline);
await rejects(
  opensearch
    ? client.ingest.putPipeline({ id: "bad", body: { processors: [{ set: {} }] } })
    : client.ingest.putPipeline({ id: "bad", processors: [{ set: {} }] }),
  400, "parse_exception");
done("pipeline put");

// ---- two deployments of one model
const start = (deployment, parameters) => opensearch
  ? raw("POST", "/_ml/trained_models/use-lite-en/deployment/_start", undefined,
        { deployment_id: deployment, ...parameters })
  : client.ml.startTrainedModelDeployment(
      { model_id: "use-lite-en", deployment_id: deployment, ...parameters });
const stats = async (id) => opensearch
  ? raw("GET", `/_ml/trained_models/${id}/_stats`)
  : client.ml.getTrainedModelsStats({ model_id: id });
const ingest = await start("ingest", {
  number_of_allocations: 2, threads_per_allocation: 1, queue_capacity: 2048, wait_for: "started" });
assert.equal(ingest.assignment.task_parameters.deployment_id, "ingest");
assert.equal(ingest.assignment.task_parameters.queue_capacity, 2048);
await start("search", {
  number_of_allocations: 1, threads_per_allocation: 2, queue_capacity: 8, wait_for: "starting" });
const deploymentOf = async (id) => (await stats("use-lite-en")).trained_model_stats
  .map((one) => one.deployment_stats).find((one) => one?.deployment_id === id);
while ((await deploymentOf("search")).allocation_status.state !== "fully_allocated")
  await new Promise((resolve) => setTimeout(resolve, 50));
done("two deployments started");

// ---- documents through the client's own bulk helper
const presidents = ["Washington", "Adams", "Jefferson", "Madison"];
async function* speeches() {
  for (let i = 0; i < documents; ++i) {
    yield { id: String(i), president: presidents[i % 4],
            text: `Speech number ${i} speaks about the harvest, the army and the treasury.` };
  }
}
const bulk = await client.helpers.bulk({
  datasource: speeches(),
  flushBytes: 200_000,
  onDocument: (document) => ({ index: { _index: "speeches", _id: document.id } }),
});
assert.equal(bulk.failed, 0);
assert.equal(bulk.successful, documents);
assert.equal((await answer(client.count({ index: "speeches" }))).count, documents);
done(`${documents} documents in bulk`);

// ---- a long job as a task
const job = { source: { index: "speeches" }, dest: { index: "embedded", pipeline: "embed" } };
const started = await answer(opensearch
  ? client.reindex({ wait_for_completion: false, body: job })
  : client.reindex({ wait_for_completion: false, ...job }));
assert.match(String(started.task), /^[\w-]+:\d+$/);
let task;
do {
  await new Promise((resolve) => setTimeout(resolve, 200));
  task = await answer(client.tasks.get({ task_id: started.task }));
} while (!task.completed);
assert.equal(task.error, undefined, JSON.stringify(task.error));
assert.equal(task.response.created, documents);
assert.deepEqual(task.response.failures, []);
done("reindex through the pipeline, followed as a task");

// ---- search
const found = await answer(client.search(opensearch
  ? { index: "embedded", body: { size: 3, query: { match: { text: "number 4711" } } } }
  : { index: "embedded", size: 3, query: { match: { text: "number 4711" } } }));
assert.equal(found.hits.hits[0]._id, "4711");
assert.equal(found.hits.hits[0]._source.speaker.name, "Madison");
const knn = { field: "chunks.embedding", k: 3, num_candidates: 50, query_vector_builder: {
  text_embedding: { model_id: "search", model_text: "the treasury" } } };
const near = opensearch
  ? await raw("POST", "/embedded/_search", { knn, size: 3 })
  : await client.search({ index: "embedded", knn, size: 3 });
assert.equal(near.hits.hits.length, 3);
done("text and vector search");

// ---- inference by itself, and its numbers
const infer = (id, docs) => opensearch
  ? raw("POST", `/_ml/trained_models/${id}/_infer`, { docs })
  : client.ml.inferTrainedModel({ model_id: id, docs });
const inferred = await infer("search", [{ text_field: "the state of the union" }]);
assert.ok(inferred.inference_results[0].predicted_value.length >= 128);
const node = (await deploymentOf("ingest")).nodes[0];
for (const name of ["average_inference_time_ms", "number_of_pending_requests",
                    "peak_throughput_per_minute", "inference_count"])
  assert.equal(typeof node[name], "number", `${name} in ${JSON.stringify(node)}`);
assert.ok(node.peak_throughput_per_minute > 0);
done("inference and statistics");

// ---- what the clients throw
await rejects(infer("nobody", [{ text_field: "x" }]), 404, "resource_not_found_exception");
const many = Array.from({ length: 400 }, (_, i) => ({ text_field: `text ${i} of a flood` }));
await rejects(
  Promise.all(Array.from({ length: 4 }, () => infer("search", many))),
  429, "es_rejected_execution_exception");
await rejects(answer(client.get({ index: "nothing", id: "1" })), 404, "index_not_found_exception");
done("404 and 429 as the client's exceptions");

// ---- stop
for (const id of ["ingest", "search"]) {
  const stopped = opensearch
    ? await raw("POST", `/_ml/trained_models/${id}/deployment/_stop`, undefined, { force: true })
    : await client.ml.stopTrainedModelDeployment({ model_id: id, force: true });
  assert.equal(stopped.stopped, true);
}
await answer(client.indices.delete({ index: "speeches,embedded" }));
await answer(client.ingest.deletePipeline({ id: "embed" }));
await client.close();
done("stopped");
