"""Writes what ``retrieval.py`` has measured into its page, and draws it.

    python bench/retrieval_report.py build/retrieval/retrieval.json

It needs matplotlib. What stands above the line that says so is written by people, and stays.
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

PAGE = Path(__file__).parent.parent / "docs/explanation/retrieval.md"
MARK = "<!-- What follows is written by bench/retrieval_report.py; do not change it. -->\n"
KINDS = ("vector", "keyword", "hybrid")
FILTER = ", one of a hundred by a filter"


def tables(found: dict[str, Any]) -> str:
    """Return the figures as tables."""
    lines = [
        "## What is found",
        "",
        f"{found['questions']} questions, {found['chunks']:,} chunks: the share of the questions "
        "that are answered by one of the first 1, 5 and 10 chunks.",
        "",
        "| | 1 | **5** | 10 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, shares in found["recall"].items():
        lines.append(f"| {name} | {shares['1']:.2f} | **{shares['5']:.2f}** | {shares['10']:.2f} |")
    lines += ["", "![recall at 5](retrieval/recall.png)", "", "## How long a search takes", ""]
    lines += [
        f"Five of {found['large']:,} chunks are asked for, one question after the other; without "
        "the embedding of the question. Milliseconds.",
        "",
        "| | median | 95th percentile |",
        "| --- | ---: | ---: |",
    ]
    for name, taken in sorted(found["times"].items(), key=lambda each: "by hand" in each[0]):
        lines.append(f"| {name} | {taken['median']:.1f} | {taken['p95']:.1f} |")
    kern, hand = (found["agreement"][name] for name in ("PgVector", "pgvector by hand"))
    lines += [
        "",
        "![milliseconds a search](retrieval/times.png)",
        "",
        f"Of the five nearest of all, a search by meaning with the index finds {kern:.2f} "
        f"(`ef_search` 100), by hand {hand:.2f} (40, as pgvector has it).",
        "",
        "## How fast chunks are kept",
        "",
        "Chunks a second, embedded already, by one writer, a thousand by each in turn; median of "
        "three turns, the least and the greatest, and the ratio to `PgVector`.",
        "",
        "| | chunks a second | least | greatest | ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    kern_rates = found["load"]["PgVector"]
    for name, rates in found["load"].items():
        ratio = median(each / own for each, own in zip(rates, kern_rates, strict=True))
        lines.append(
            f"| {name} | {median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} "
            f"| {ratio:.2f} |"
        )
    return "\n".join(lines) + "\n"


def draw(found: dict[str, Any], directory: Path) -> None:
    """Draw the recall, and the times."""
    directory.mkdir(parents=True, exist_ok=True)
    shares = {name: each["5"] for name, each in found["recall"].items()}
    _bars(shares, "questions answered by one of the first five", directory / "recall.png")
    times = {name: each["median"] for name, each in found["times"].items()}
    label = f"ms a search among {found['large']:,} chunks, median"
    _bars(times, label, directory / "times.png")


def _bars(values: dict[str, float], label: str, path: Path) -> None:
    picture, axes = pyplot.subplots(figsize=(8, 0.6 + 0.4 * len(values)), layout="constrained")
    names = [*reversed(values)]
    colours = ["#9aa4b2" if "by hand" in name else "#1f6feb" for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt=lambda each: f"{each:.2f}" if each < 1 else f"{each:.1f}", padding=3)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=110)
    pyplot.close(picture)


def main() -> None:
    """Write the page's figures, and draw them."""
    found = json.loads(Path(sys.argv[1]).read_text())
    text, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{text}{mark or MARK}\n{tables(found)}")
    draw(found, PAGE.with_suffix(""))


if __name__ == "__main__":
    main()
