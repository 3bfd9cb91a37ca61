// The AI SDK, with its provider for OpenAI, as a client of agents.

import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, isStepCount, Output, streamText, tool } from "ai";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { durably } from "./durably.mjs";
import { serverIsReady, tellOfStream, url } from "./shared.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const kern = createOpenAI({ baseURL: url, apiKey: "none" });
const prices = [];
const tools = {
  get_price: tool({
    description: "The price of an article.",
    inputSchema: z.object({ article: z.string() }),
    execute: async ({ article }) => {
      prices.push(article);
      return "5 euros";
    },
  }),
};
const twice = 'Call get_price {"article": "hat"} and get_price {"article": "coat"}';

const ask = (prompt, options = {}) =>
  generateText({ model: kern("plain"), prompt, maxRetries: 0, ...options });
const stream = (prompt, options = {}) =>
  streamText({ model: kern("plain"), prompt, maxRetries: 0, onError: () => {}, ...options });

await serverIsReady();

async function newConversation() {
  const made = await fetch(`${url}/conversations`, { method: "POST", body: "{}" });
  return (await made.json()).id;
}

test("a text is generated, with the parameters that the client knows", async () => {
  const { text, finishReason, usage } = await ask("Say Hello there.", {
    instructions: "Be brief.",
    temperature: 0.5,
    topP: 0.9,
    maxOutputTokens: 100,
    providerOptions: {
      openai: { metadata: { topic: "greetings" }, user: "ada", maxToolCalls: 3, store: true },
    },
  });
  assert.equal(text, "Hello there.");
  assert.equal(finishReason, "stop");
  assert.deepEqual([usage.inputTokens, usage.outputTokens], [10, 5]);
});

test("a reasoning agent is asked for as much as a model of OpenAI's", async () => {
  const openai = { forceReasoning: true, reasoningEffort: "low", store: false };
  const { text } = await ask("Say Hello.", { providerOptions: { openai } });
  assert.equal(text, "Hello.");
});

test("a text is streamed", async () => {
  const result = stream("Count to 30");
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  assert.equal(pieces.length, 30);
  assert.equal(await result.finishReason, "stop");
  assert.equal((await result.usage).totalTokens, 15);
});

test("the agent's own tools are dynamic ones that the provider has executed", async () => {
  const prompt = 'Call look_up {"city": "Oslo"}';
  const model = kern("researcher");
  const whole = await ask(prompt, { model });
  const streamed = stream(prompt, { model });
  const told = [
    [whole.text, whole.toolCalls, whole.toolResults],
    [await streamed.text, await streamed.toolCalls, await streamed.toolResults],
  ];
  for (const [text, [call], [result]] of told) {
    assert.equal(text, "It is sunny in Oslo");
    assert.equal(call.toolName, "mcp.look_up");
    assert.equal(call.providerExecuted, true);
    assert.equal(result.output.serverLabel, "researcher");
    assert.equal(result.output.output, "sunny in Oslo");
  }
  // The next request names these items only.
  const messages = [
    { role: "user", content: prompt },
    ...whole.responseMessages,
    { role: "user", content: "Say And now?" },
  ];
  assert.equal((await ask(undefined, { model, messages })).text, "And now?");
});

test("tools of both are called in one step", async () => {
  const model = kern("researcher");
  const prompt = 'Call look_up {"city": "Oslo"} and get_price {"article": "hat"}';
  for (const begin of [ask, stream]) {
    for (const openai of [{}, { store: false }]) {
      const options = { model, tools, stopWhen: isStepCount(5), providerOptions: { openai } };
      const result = await begin(prompt, options);
      assert.match(await result.text, /^It is .*5 euros/);
      assert.equal((await result.steps).length, 2);
    }
  }
});

test("the client's tools are called in several steps", async () => {
  for (const begin of [ask, stream]) {
    for (const openai of [{}, { store: false }]) {
      prices.length = 0;
      const options = { tools, stopWhen: isStepCount(5), providerOptions: { openai } };
      const result = await begin(twice, options);
      assert.equal(await result.text, "It is 5 euros, 5 euros");
      assert.equal((await result.steps).length, 2);
      assert.deepEqual(prices.sort(), ["coat", "hat"]);
    }
  }
});

test("the client's tools are called in several steps after a response, and in a conversation", async () => {
  const prompt = 'Call get_price {"article": "hat"} then get_price {"article": "coat"}';
  const first = await ask("Say Hello.");
  const previousResponseId = first.providerMetadata.openai.responseId;
  for (const begin of [ask, stream]) {
    for (const openai of [{ previousResponseId }, { conversation: await newConversation() }]) {
      const options = { tools, stopWhen: isStepCount(5), providerOptions: { openai } };
      const result = await begin(prompt, options);
      assert.equal(await result.text, "It is 5 euros, 5 euros");
      assert.equal((await result.steps).length, 3);
    }
  }
});

test("a client's tool is chosen", async () => {
  for (const toolChoice of ["auto", "none"]) {
    assert.equal((await ask("Say Hello.", { tools, toolChoice })).text, "Hello.");
  }
  for (const toolChoice of ["required", { type: "tool", toolName: "get_price" }]) {
    const { toolCalls } = await ask('Call get_price {"article": "hat"}', { tools, toolChoice });
    assert.deepEqual(toolCalls[0].input, { article: "hat" });
  }
});

test("the history is in the messages, in a response, or in a conversation", async () => {
  const recalled = "user: Say Hello. | assistant: Hello. | user: Recall";
  const first = await ask("Say Hello.");
  const messages = [
    { role: "user", content: "Say Hello." },
    ...first.responseMessages,
    { role: "user", content: "Recall" },
  ];
  for (const openai of [{}, { store: false }]) {
    assert.equal((await ask(undefined, { messages, providerOptions: { openai } })).text, recalled);
  }
  const previousResponseId = first.providerMetadata.openai.responseId;
  const next = { providerOptions: { openai: { previousResponseId } } };
  assert.equal((await ask("Recall", next)).text, recalled);
  assert.equal(await stream("Recall", next).text, recalled);
  const conversation = await newConversation();
  const within = { providerOptions: { openai: { conversation } } };
  await ask("Say Hello.", within);
  assert.equal((await ask("Recall", within)).text, recalled);
});

test("a person approves, or does not", async () => {
  const model = kern("clerk");
  const question = { role: "user", content: 'Call refund {"order": "7"}' };
  const cases = [
    [ask, true, {}],
    [ask, false, { store: false }],
    [ask, true, { conversation: await newConversation() }],
    [stream, false, {}],
    [stream, true, { store: false }],
  ];
  for (const [begin, approved, openai] of cases) {
    const options = { model, providerOptions: { openai } };
    const asking = await begin(undefined, { ...options, messages: [question] });
    const content = await asking.content;
    const request = content.find((part) => part.type === "tool-approval-request");
    assert.equal(request.toolCall.toolName, "mcp.refund");
    const { approvalId } = request;
    const answer = { type: "tool-approval-response", approvalId, approved, providerExecuted: true };
    const messages = [
      question,
      ...(await asking.responseMessages),
      { role: "tool", content: [answer] },
    ];
    const answered = await begin(undefined, { ...options, messages });
    const expected = approved ? /^It is refunded 7$/ : /^It is .*rejected/;
    assert.match(await answered.text, expected);
    messages.push(...(await answered.responseMessages));
    const bye = { role: "user", content: "Say Bye." };
    const further = openai.conversation ? [bye] : [...messages, bye];
    assert.equal(await (await begin(undefined, { ...options, messages: further })).text, "Bye.");
  }
});

test("an answer has the form that is asked for", async () => {
  const schema = z.object({ city: z.string(), inhabitants: z.number() });
  const prompt = 'Say {"city": "Oslo", "inhabitants": 700000}';
  const oslo = { city: "Oslo", inhabitants: 700000 };
  assert.deepEqual((await ask(prompt, { output: Output.object({ schema }) })).output, oslo);
  assert.deepEqual(await stream(prompt, { output: Output.object({ schema }) }).output, oslo);
  assert.deepEqual((await ask('Say {"any": 1}', { output: Output.json() })).output, { any: 1 });
});

test("chat completions are whole, streamed, and call the client's tools", async () => {
  const model = kern.chat("plain");
  for (const begin of [ask, stream]) {
    assert.equal(await (await begin("Say Hello there.", { model })).text, "Hello there.");
    const options = { model, tools, stopWhen: isStepCount(5) };
    assert.equal(await (await begin(twice, options)).text, "It is 5 euros, 5 euros");
    const output = Output.object({ schema: z.object({ city: z.string() }) });
    const formed = await begin('Say {"city": "Oslo"}', { model, output });
    assert.deepEqual(await formed.output, { city: "Oslo" });
  }
});

test("images and files are shown to the agent", async () => {
  const data = "iVBORw0KGgo=";
  const content = [
    { type: "text", text: "Say Nice." },
    { type: "file", data, mediaType: "image/png" },
    { type: "file", data: "JVBERi0xLjQK", mediaType: "application/pdf" },
  ];
  const messages = [{ role: "user", content }];
  assert.equal((await ask(undefined, { messages })).text, "Nice.");
});

test("what is wrong has its status, and names its parameter", async () => {
  const refused = (statusCode, param) => (error) => {
    assert.ok(APICallError.isInstance(error), error);
    assert.equal(error.statusCode, statusCode);
    assert.equal(error.data.error.param, param);
    return true;
  };
  await assert.rejects(ask("Say Hello.", { model: kern("nobody") }), refused(404, "model"));
  const openai = { truncation: "auto" };
  const wrong = { providerOptions: { openai } };
  await assert.rejects(ask("Say Hello.", wrong), refused(400, "truncation"));
  await assert.rejects(ask("Fail"));
  const failures = [];
  const failing = stream("Fail", { onError: ({ error }) => failures.push(error) });
  await failing.consumeStream();
  assert.equal(failures.length, 1);
});

test("a run ends when its client leaves", async () => {
  const abort = new AbortController();
  const include = { rawChunks: true };
  const result = stream("Hang", { abortSignal: abort.signal, includeRawChunks: true, include });
  let id;
  for await (const part of result.stream) {
    if (part.type === "raw") id ??= part.rawValue.response.id;
    if (part.type === "text-delta") abort.abort();
  }
  const status = async () => (await (await fetch(`${url}/responses/${id}`)).json()).status;
  while ((await status()) === "in_progress") await pause(20);
  assert.equal(await status(), "cancelled");
});

test("a stream goes on after its server was killed", async () => {
  const numbers = [];
  const model = createOpenAI({ baseURL: url, apiKey: "none", fetch: durably(numbers) })("plain");
  const result = stream("Slowly for the AI SDK", { model });
  const texts = new Map();
  for await (const part of result.stream) {
    if (part.type !== "text-delta") continue;
    if (texts.size === 0) tellOfStream();
    texts.set(part.id, (texts.get(part.id) ?? "") + part.text);
  }
  assert.equal(await result.finishReason, "stop");
  assert.deepEqual([...texts.values()], ["This is ", "This is kept."]);
  assert.deepEqual(numbers, [...numbers.keys()]);
});
