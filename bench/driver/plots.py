"""Draws the figures."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from bench.driver.figures import Figure
from bench.driver.plan import KERN
from bench.driver.report import SECTIONS, Report, Section

_KERN_COLOUR = "#1f6feb"
_PEER_COLOUR = "#9aa4b2"


def draw(report: Report, directory: Path) -> None:
    """Draw a picture for each section that has one, as PNG into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        if section.plot == "poll":
            _lines(report, section, directory / "poll.png")
        elif section.plot:
            _bars(report, section, section.figures[0], directory / f"{section.plot}.png")


def _bars(report: Report, section: Section, figure: Figure, path: Path) -> None:
    """Draw a bar a contender, from the median, with the spread of the rounds."""
    cells = {
        entry.title: cell
        for entry in reversed(report.entries)
        if (cell := report.findings.cell(entry.name, figure)) is not None
    }
    if not cells:
        return
    picture, axes = pyplot.subplots(figsize=(8, 0.6 + 0.45 * len(cells)), layout="constrained")
    medians = [cell.median for cell in cells.values()]
    spreads = [
        [cell.median - cell.least for cell in cells.values()],
        [cell.most - cell.median for cell in cells.values()],
    ]
    colours = [_KERN_COLOUR if title.startswith("kern") else _PEER_COLOUR for title in cells]
    axes.barh(list(cells), medians, xerr=spreads, color=colours, capsize=3)
    axes.set_xlabel(f"{section.title.lower()}: {figure.title}, {figure.unit}")
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=110)
    pyplot.close(picture)


def _lines(report: Report, section: Section, path: Path) -> None:
    """Draw a line a contender, from the smallest session to the largest."""
    picture, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for entry in report.entries:
        points = {
            int(figure.key.removeprefix("poll_")): cell.median
            for figure in section.figures
            if figure.key.removeprefix("poll_").isdecimal()
            and (cell := report.findings.cell(entry.name, figure)) is not None
        }
        if points:
            width = 2.5 if entry.name == KERN else 1.5
            axes.plot(list(points), list(points.values()), "o-", label=entry.title, lw=width)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("runs in the session")
    axes.set_ylabel("poll, ms")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    picture.savefig(path, dpi=110)
    pyplot.close(picture)
