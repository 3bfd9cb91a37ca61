// Draws the plots of a page: each by the figures of its table, anew when these change.
"use strict";

(() => {
  const HEIGHT = 190;
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]]; // Colour alone tells nothing to some.
  const MARKERS = ["solid", "dashed", "dotted", "double"]; // Of borders, in the legend.
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function number(value) {
    const about = Math.abs(value);
    if (about >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (about >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return `${+value.toPrecision(3)}`;
  }

  function length(seconds) {
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "m"]].find(
      ([each]) => seconds >= each) ?? [1, "s"];
    return `${number(seconds / size)}${unit}`;
  }

  // Moments in UTC, as the tables have them; days where a day begins.
  function moments(_, values, axis, space, step) {
    return values.map((value) => {
      const moment = new Date(value * 1000).toISOString();
      return step >= 86400 || value % 86400 === 0 ? moment.slice(5, 10) : moment.slice(11, 16);
    });
  }

  const minute = (value) => new Date(value * 1000).toISOString().slice(0, 16).replace("T", " ");

  const LENGTHS = [0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800,
    3600, 7200, 14400, 43200, 86400];

  const TEXTS = { "": number, s: length, $: (value) => `$${number(value)}` };

  function options({ unit, labels }, width) {
    const text = TEXTS[unit];
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1 },
    };
    return {
      width,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, values: moments },
        {
          ...axis,
          size: 64,
          values: (_, values) => values.map(text),
          ...(unit === "s" ? { incrs: LENGTHS } : {}),
        },
      ],
      legend: { markers: { dash: (_, place) => MARKERS[place - 1] } },
      series: [
        { label: "UTC", value: (_, value) => (value == null ? "–" : minute(value)) },
        ...labels.map((label, number) => ({
          label,
          stroke: colour(`--plot-${number + 1}`),
          dash: DASHES[number],
          width: 2,
          points: { show: false },
          value: (_, value) => (value == null ? "–" : text(value)),
        })),
      ],
    };
  }

  function draw(place, always) {
    const source = document.getElementById(place.dataset.of);
    const text = source?.dataset.plot;
    const before = drawn.get(place);
    if (!text || (!always && before?.text === text)) return;
    const data = JSON.parse(text);
    before?.plot.destroy();
    drawn.delete(place);
    if (!data.values[0].length) return;
    const width = place.parentElement.clientWidth
      - 2 * parseFloat(getComputedStyle(place.parentElement).paddingLeft);
    drawn.set(place, { text, plot: new uPlot(options(data, width), data.values, place) });
  }

  const places = () => document.querySelectorAll(".plot");
  const drawAll = (always) => places().forEach((place) => draw(place, always));

  document.addEventListener("DOMContentLoaded", () => {
    drawAll(false);
    const changes = new MutationObserver(() => drawAll(false));
    const main = document.getElementById("main");
    changes.observe(main, { attributeFilter: ["data-plot"], childList: true, subtree: true });
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth !== width) drawAll(true);
      width = innerWidth;
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
  });
})();
