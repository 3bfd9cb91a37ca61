// Streams of the AI SDK that go on when the connection, or the server, is lost.

import { serverIsReady } from "./shared.mjs";

/**
 * Returns a fetch for createOpenAI: what it streams goes on in the background, and where its
 * connection is lost, it is read on after the last event.
 *
 * @param numbers is given the sequence_number of each event.
 */
export function durably(numbers) {
  return async (url, options) => {
    const asked = JSON.parse(options.body);
    if (!asked.stream) return fetch(url, options);
    const body = JSON.stringify({ ...asked, background: true });
    const response = await fetch(url, { ...options, body });
    if (!response.ok) return response;
    const { headers, signal } = options;
    const events = resumed(response, url, { headers, signal }, numbers);
    return new Response(ReadableStream.from(events), response);
  };
}

async function* resumed(response, url, options, numbers) {
  const encoder = new TextEncoder();
  let id;
  for (;;) {
    try {
      for await (const event of eventsIn(response.body)) {
        const data = JSON.parse(event.split("data: ")[1]);
        id ??= data.response.id;
        numbers.push(data.sequence_number);
        yield encoder.encode(event);
        if (/^response\.(completed|failed|incomplete|cancelled)$/.test(data.type)) return;
      }
    } catch (error) {
      if (id === undefined || options.signal?.aborted) throw error;
    }
    await serverIsReady();
    const query = `stream=true&starting_after=${numbers.at(-1)}`;
    response = await fetch(`${url}/${id}?${query}`, options);
  }
}

/** Yields whole events; one that was cut off is none. */
async function* eventsIn(body) {
  let text = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const events = (text + piece).replaceAll("\r\n", "\n").split("\n\n");
    text = events.pop();
    for (const event of events) if (event.includes("data: {")) yield `${event}\n\n`;
  }
}
