// What the programs of both clients share: where the service is, and its end in mid-stream.

import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

export const url = process.env.KERN_URL;

/** Tells the test that a stream has begun: now it kills the server, and starts it again. */
export function tellOfStream() {
  writeSync(1, "\nin mid-stream\n");
}

/** Waits until the server is ready, for the first time or again. */
export async function serverIsReady() {
  for (;;) {
    const ready = await fetch(new URL("/readyz", url)).catch(() => null);
    if (ready?.ok) return;
    await pause(50);
  }
}

/** Returns the text that an item of a response says. */
export function textOf(item) {
  return item.content.map((part) => part.text ?? part.refusal).join("");
}
