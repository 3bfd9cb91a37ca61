// Opens the stream of a page's parts once the page is done loading, and says how it stands.
"use strict";

(() => {
  const QUIET = 1200; // Milliseconds after which nobody waits for the page any more.
  const skew = Date.parse(document.querySelector("meta[name=kern-now]").content) - Date.now();
  const now = () => Date.now() + skew;

  // What the reader has opened stays open when a part is sent anew.
  htmx.registerExtension("kern", {
    htmx_before_morph_attr: (element, { attrName }) =>
      !(attrName === "open" && element.tagName === "DETAILS"),
  });

  function ago(seconds) {
    const about = Math.abs(seconds);
    if (about < 2) return "just now";
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "m"]].find(
      ([each]) => about >= 2 * each) ?? [1, "s"];
    const count = `${Math.floor(about / size)}${unit}`;
    return seconds < 0 ? `in ${count}` : `${count} ago`;
  }

  function tell(time) {
    const at = Date.parse(time.dateTime);
    time.title ||= time.textContent;
    const text = ago((now() - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }

  function tellAll() {
    // Not where each change would be read aloud.
    document.querySelectorAll("main time[datetime]:not([aria-live] *)").forEach(tell);
  }

  const stream = document.getElementById("stream");
  let word = "";

  function say(text) {
    if (!stream || word === text) return;
    word = text;
    if (text) {
      stream.dataset.state = text.match(/^\w+/)[0].toLowerCase();
      stream.textContent = text;
    }
  }

  function lost() {
    const at = new Date(now()).toLocaleTimeString();
    if (!word.startsWith("Reconnecting")) say(`Reconnecting, as of ${at}`);
  }

  document.addEventListener("htmx:sse:after:connection", () => say("Live"));
  document.addEventListener("htmx:sse:before:connection", ({ detail }) => {
    if (detail.connection.attempt > 0 && !document.hidden) lost();
  });
  document.addEventListener("htmx:sse:close", ({ detail }) => {
    if (detail.reason === "message") say("Complete");
  });
  document.addEventListener("htmx:sse:error", ({ detail }) => {
    lost();
    // Who is signed out, or looks at what is gone, is told so by the page itself.
    if ([401, 403, 404].includes(detail.status)) location.reload();
  });
  document.addEventListener("kern:reload", () => location.reload());
  document.addEventListener("htmx:after:swap", tellAll);
  document.addEventListener("DOMContentLoaded", () => {
    tellAll();
    setInterval(tellAll, 1000);
  });
  addEventListener("load", () => setTimeout(() => {
    document.querySelectorAll("[hx-sse\\:connect]").forEach(
      (element) => htmx.trigger(element, "kern:live"));
  }, QUIET));
})();
