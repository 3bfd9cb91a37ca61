// The official client of OpenAI's for JavaScript, as a client of agents.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI from "openai";
import { ResponsesToolRunner } from "openai/helpers/responses-tool-runner";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { serverIsReady, tellOfStream, textOf, url } from "./shared.mjs";

const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0, timeout: 30_000 });
const { responses, chat, conversations } = client;
const price = {
  type: "function",
  name: "get_price",
  description: "The price of an article.",
  parameters: { type: "object", properties: { article: { type: "string" } } },
  strict: false,
};

async function collected(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** Reads a stream up to its first piece of text, and drops the connection. */
async function beginning(stream) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
    if (event.type === "response.output_text.delta") return events;
  }
  return assert.fail("there was no text");
}

function numbers(events) {
  return events.map((event) => event.sequence_number);
}

function upTo(length) {
  return Array.from({ length }, (_, number) => number);
}

await serverIsReady();

test("agents are models", async () => {
  const found = [];
  for await (const model of client.models.list()) found.push(model.id);
  assert.deepEqual(found.sort(), ["clerk", "plain", "researcher"]);
});

test("a response is created", async () => {
  const response = await responses.create({ model: "plain", input: "Say Hello there." });
  assert.equal(response.status, "completed");
  assert.equal(response.output_text, "Hello there.");
  assert.equal((await responses.retrieve(response.id)).output_text, "Hello there.");
  const items = await collected(responses.inputItems.list(response.id));
  assert.deepEqual(items.map(textOf), ["Say Hello there."]);
  await responses.delete(response.id);
  await assert.rejects(responses.retrieve(response.id), OpenAI.NotFoundError);
});

test("a background response is polled", async () => {
  let { data, response } = await responses
    .create({ model: "plain", input: "Say Done.", background: true })
    .withResponse();
  assert.equal(data.background, true);
  while (data.status === "queued" || data.status === "in_progress") {
    await pause(Math.min(Number(response.headers.get("openai-poll-after-ms")), 50));
    ({ data, response } = await responses.retrieve(data.id).withResponse());
  }
  assert.equal(data.status, "completed");
  assert.equal(data.output_text, "Done.");
});

test("a response is streamed", async () => {
  const stream = await responses.create({ model: "plain", input: "Say Hello there.", stream: true });
  const events = await collected(stream);
  assert.deepEqual(numbers(events), upTo(events.length));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), "Hello there.");
  assert.equal(events.at(-1).type, "response.completed");
});

test("the agent's own tools are mcp_calls, also to the helper that adds events up", async () => {
  const input = 'Call look_up {"city": "Oslo"}';
  const stream = responses.stream({ model: "researcher", input });
  const kinds = [];
  stream.on("event", (event) => kinds.push(event.type));
  const response = await stream.finalResponse();
  assert.equal(response.output_text, "It is sunny in Oslo");
  assert.ok(kinds.includes("response.mcp_call.completed"));
  const [call] = response.output;
  assert.equal(call.type, "mcp_call");
  assert.equal(call.server_label, "researcher");
  assert.equal(call.output, "sunny in Oslo");
  assert.deepEqual((await responses.retrieve(response.id)).output, dropParsed(response.output));
});

/** What the helper has added to items. */
function dropParsed(output) {
  return output.map(({ parsed, parsed_arguments, content, ...item }) =>
    content ? { ...item, content: content.map(({ parsed, ...part }) => part) } : item,
  );
}

test("a dropped connection is resumed without a gap", async () => {
  const seen = await beginning(
    await responses.create({ model: "plain", input: "Count to 30", background: true, stream: true }),
  );
  const { id } = seen[0].response;
  const starting_after = seen.at(-1).sequence_number;
  const rest = await collected(await responses.retrieve(id, { stream: true, starting_after }));
  const events = [...seen, ...rest];
  assert.deepEqual(numbers(events), upTo(events.length));
  const { response } = events.at(-1);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), textOf(response.output[0]));
  const helper = responses.stream({ response_id: id, starting_after });
  const again = numbers(await collected(helper));
  assert.deepEqual(again, numbers(rest));
});

test("a response is cancelled, more than once", async () => {
  const hanging = { model: "plain", input: "Hang", background: true, stream: true };
  let id;
  let last;
  for await (const event of await responses.create(hanging)) {
    if (event.type === "response.output_text.delta") {
      ({ id } = last.response);
      assert.equal((await responses.cancel(id)).status, "cancelled");
    }
    if (event.response) last = event;
  }
  assert.equal(last.response.status, "cancelled");
  assert.equal((await responses.cancel(id)).status, "cancelled");
  const foreground = await responses.create({ model: "plain", input: "Say Hello." });
  await assert.rejects(responses.cancel(foreground.id), OpenAI.BadRequestError);
});

test("a response goes on from an earlier one", async () => {
  const first = await responses.create({ model: "plain", input: "Say Hello, Ada." });
  const next = { model: "plain", input: "Recall", previous_response_id: first.id };
  const both = await Promise.all([responses.create(next), responses.create(next)]);
  for (const second of both) {
    assert.equal(second.previous_response_id, first.id);
    assert.equal(second.output_text, "user: Say Hello, Ada. | assistant: Hello, Ada. | user: Recall");
  }
});

test("a conversation keeps its order, and is read", async () => {
  const { id } = await conversations.create({ metadata: { topic: "names" } });
  await responses.create({ model: "plain", input: "Say Hello.", conversation: id });
  const second = await responses.create({ model: "plain", input: "Recall", conversation: id });
  assert.equal(second.output_text, "user: Say Hello. | assistant: Hello. | user: Recall");
  const items = await collected(conversations.items.list(id, { order: "asc", limit: 3 }));
  assert.deepEqual(items.map(textOf), ["Say Hello.", "Hello.", "Recall", second.output_text]);
});

test("the client's tools are called by the client", async () => {
  const input = 'Call get_price {"article": "hat"}';
  const asking = { model: "researcher", tools: [price] };
  const first = await responses.create({ ...asking, input });
  assert.equal(first.status, "completed");
  const [call] = first.output;
  assert.deepEqual([call.type, call.name], ["function_call", "get_price"]);
  const output = { type: "function_call_output", call_id: call.call_id, output: "5 euros" };
  const lineage = { ...asking, input: [output], previous_response_id: first.id };
  assert.equal((await responses.create(lineage)).output_text, "It is 5 euros");
  // Without a lineage the client sends all of it.
  const whole = [{ role: "user", content: input }, ...first.output, output];
  assert.equal((await responses.create({ ...asking, input: whole })).output_text, "It is 5 euros");
  const wrong = [{ ...output, call_id: "another" }];
  await assert.rejects(responses.create({ ...lineage, input: wrong }), OpenAI.BadRequestError);
});

test("the client's tools are parsed, and streamed", async () => {
  const tool = zodResponsesFunction({ name: "get_price", parameters: z.object({ article: z.string() }) });
  const input = 'Call get_price {"article": "hat"}';
  const parsed = await responses.parse({ model: "plain", input, tools: [tool] });
  assert.deepEqual(parsed.output[0].parsed_arguments, { article: "hat" });
  const stream = responses.stream({ model: "plain", input, tools: [tool] });
  let told = "";
  stream.on("response.function_call_arguments.delta", (event) => (told += event.delta));
  const response = await stream.finalResponse();
  assert.deepEqual(JSON.parse(told), { article: "hat" });
  assert.deepEqual(response.output[0].parsed_arguments, { article: "hat" });
});

test("the helper that runs the client's tools sends the whole history again", async () => {
  const articles = [];
  const execute = ({ article }) => `${articles.push(article)} euros`;
  const runner = new ResponsesToolRunner({ functions: [{ tool: price, execute }] });
  const input = 'Call get_price {"article": "hat"} and get_price {"article": "coat"}';
  for (const stream of [false, true]) {
    articles.length = 0;
    const response = await runner.run(client, { model: "plain", input }, { stream });
    assert.equal(response.output_text, "It is 1 euros, 2 euros");
    assert.deepEqual(articles, ["hat", "coat"]);
  }
});

test("a person approves, or does not", async () => {
  const input = 'Call refund {"order": "7"}';
  for (const approve of [true, false]) {
    const asking = await responses.create({ model: "clerk", input });
    assert.equal(asking.status, "completed");
    const request = asking.output.find((item) => item.type === "mcp_approval_request");
    assert.equal(request.name, "refund");
    const answer = { type: "mcp_approval_response", approval_request_id: request.id, approve };
    const again = { model: "clerk", previous_response_id: asking.id, input: [answer] };
    const events = await collected(await responses.create({ ...again, stream: true }));
    assert.deepEqual(numbers(events), upTo(events.length));
    const { response } = events.at(-1);
    const call = response.output.find((item) => item.type === "mcp_call");
    assert.equal(call.output, approve ? "refunded 7" : null);
    assert.equal(call.approval_request_id, request.id);
    await assert.rejects(responses.create(again), OpenAI.ConflictError);
    const whole = [
      { role: "user", content: input },
      ...asking.output,
      answer,
      ...response.output,
      { role: "user", content: "Say Bye." },
    ];
    const further = await responses.create({ model: "clerk", input: whole });
    assert.equal(further.output_text, "Bye.");
  }
});

test("an answer has the form that is asked for", async () => {
  const format = zodTextFormat(z.object({ city: z.string(), inhabitants: z.number() }), "city");
  const input = 'Say {"city": "Oslo", "inhabitants": 700000}';
  const parsed = await responses.parse({ model: "plain", input, text: { format } });
  assert.deepEqual(parsed.output_parsed, { city: "Oslo", inhabitants: 700000 });
  const stream = responses.stream({ model: "plain", input, text: { format } });
  assert.deepEqual((await stream.finalResponse()).output_parsed, parsed.output_parsed);
});

test("chat completions are whole, streamed, and call the client's tools", async () => {
  const messages = [{ role: "user", content: "Say Hello there." }];
  const whole = await chat.completions.create({ model: "plain", messages });
  assert.equal(whole.choices[0].message.content, "Hello there.");
  const stream_options = { include_usage: true };
  const stream = chat.completions.stream({ model: "plain", messages, stream_options });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, "Hello there.");
  assert.equal(final.usage.total_tokens, whole.usage.total_tokens);
  const prices = [];
  const getPrice = ({ article }) => {
    prices.push(article);
    return "5 euros";
  };
  const { type, name, ...rest } = price;
  const run = { name, ...rest, parse: JSON.parse, function: getPrice };
  const runner = chat.completions.runTools({
    model: "plain",
    messages: [{ role: "user", content: 'Call get_price {"article": "hat"}' }],
    tools: [{ type, function: run }],
  });
  assert.equal(await runner.finalContent(), "It is 5 euros");
  assert.deepEqual(prices, ["hat"]);
  const format = zodTextFormat(z.object({ city: z.string() }), "city");
  const { type: _, ...json_schema } = format;
  const formed = await chat.completions.parse({
    model: "plain",
    messages: [{ role: "user", content: 'Say {"city": "Oslo"}' }],
    response_format: { type: "json_schema", json_schema },
  });
  assert.deepEqual(JSON.parse(formed.choices[0].message.content), { city: "Oslo" });
});

test("an image is shown to the agent", async () => {
  const image_url = "data:image/png;base64,iVBORw0KGgo=";
  const content = [
    { type: "input_text", text: "Say Nice." },
    { type: "input_image", image_url, detail: "auto" },
  ];
  const response = await responses.create({ model: "plain", input: [{ role: "user", content }] });
  assert.equal(response.output_text, "Nice.");
});

test("what is wrong has its status, and names its parameter", async () => {
  const ask = (parameters) => responses.create({ model: "plain", input: "Say Hello.", ...parameters });
  const refused = async (parameters, kind, param, code) => {
    await assert.rejects(ask(parameters), (error) => {
      assert.ok(error instanceof kind, error);
      assert.deepEqual([error.param, error.code], [param, code]);
      return true;
    });
  };
  await refused({ model: "nobody" }, OpenAI.NotFoundError, "model", "model_not_found");
  await refused({ model: "nobody", stream: true }, OpenAI.NotFoundError, "model", "model_not_found");
  await refused({ truncation: "auto" }, OpenAI.BadRequestError, "truncation", "unsupported_parameter");
  await refused({ colour: "red" }, OpenAI.BadRequestError, "colour", "unknown_parameter");
  const previous_response_id = "resp_unknown";
  const lost = "previous_response_not_found";
  await refused({ previous_response_id }, OpenAI.NotFoundError, "previous_response_id", lost);
});

test("a request that is sent again begins nothing new", async () => {
  const options = { idempotencyKey: "only-once", headers: { "Idempotency-Key": "only-once" } };
  const request = { model: "plain", input: "Say Hello." };
  const [first, second] = [
    await responses.create(request, options),
    await responses.create(request, options),
  ];
  assert.equal(first.id, second.id);
});

test("a stream goes on after its server was killed, and a request can be sent again", async () => {
  const seen = [];
  const asking = { model: "plain", input: "Slowly for one who asks again" };
  const key = { headers: { "Idempotency-Key": "through-a-kill" } };
  const lost = assert.rejects(responses.create(asking, key), OpenAI.APIConnectionError);
  const reading = async () => {
    const stream = await responses.create({
      model: "plain",
      input: "Slowly for openai",
      background: true,
      stream: true,
    });
    for await (const event of stream) {
      seen.push(event);
      if (event.type === "response.output_text.delta") tellOfStream();
    }
  };
  await assert.rejects(reading);
  await lost;
  await serverIsReady();
  const again = responses.create(asking, key);
  const { id } = seen[0].response;
  const starting_after = seen.at(-1).sequence_number;
  const rest = await collected(await responses.retrieve(id, { stream: true, starting_after }));
  const events = [...seen, ...rest];
  assert.deepEqual(numbers(events), upTo(events.length));
  const { response } = events.at(-1);
  assert.equal(response.status, "completed");
  assert.deepEqual(response.output.map(textOf), ["", "This is kept."]);
  assert.equal((await responses.retrieve(id)).output_text, "This is kept.");
  const whole = await collected(await responses.retrieve(id, { stream: true }));
  assert.deepEqual(whole, events);
  assert.equal((await again).output_text, "This is kept.");
});
