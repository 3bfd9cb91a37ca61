"""Writes what was found: a page, its JSON, and its plots.

The page keeps what people wrote on it: only what stands between the two markers is replaced.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.driver.figures import Cell, Figure, Findings, goals
from bench.driver.plan import ENTRIES

BEGIN = "<!-- What follows is written by bench/run.sh; what is changed here is lost. -->"
END = "<!-- Here ends what bench/run.sh writes. -->"

_NEW_PAGE = f"# Benchmarks\n\n{BEGIN}\n{END}\n"


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: what is measured, in a sentence.
        figures: its tables, one each.
        plot: the name of its picture, drawn from the first figure.
    """

    title: str
    text: str
    figures: tuple[Figure, ...]
    plot: str = ""


SECTIONS = (
    Section(
        "Runs a second",
        "A closed loop of runs, each in its own session, from the first submit to the last end.",
        (
            Figure("throughput", "runs", "runs/s", 1.0),
            Figure("throughput_32", "background runs, 32 at a time", "runs/s", 1.0),
        ),
        "throughput",
    ),
    Section(
        "Processor time a run",
        "User and system time of the contender's process in that loop, by the number of runs. What "
        "PostgreSQL and the stand-in model spent meanwhile is told apart.",
        (
            Figure("processor", "the process"),
            Figure("processor_32", "the process, 32 background runs at a time"),
            Figure("postgres", "PostgreSQL"),
            Figure("model", "the stand-in model"),
        ),
        "processor",
    ),
    Section(
        "Two workers",
        "One process submits, two others execute, on the same two cores.",
        (
            Figure("fleet", "runs", "runs/s", 1.0),
            Figure("fleet_processor", "processor time a run, both workers"),
            Figure("fleet_submitter", "processor time a run, the submitter"),
            Figure("fleet_postgres", "processor time a run, PostgreSQL"),
        ),
    ),
    Section(
        "Time to submit",
        "One run at a time, nothing else going on: until the library returns from the submit.",
        (Figure("submit", "submit", tail=True),),
        "submit",
    ),
    Section(
        "Submit to first model call",
        "The same runs: until the request is complete at the stand-in model. For contenders "
        "without background runs, from the call.",
        (Figure("start", "to the model", tail=True),),
        "start",
    ),
    Section(
        "Cancel",
        "A run waits for its model, and is cancelled: until it has ended CANCELLED, and until the "
        "model's connection is closed. «Elsewhere» is a process that does not execute it.",
        (
            Figure("cancel_here", "here, to CANCELLED", tail=True),
            Figure("cancel_here_closed", "here, to connection closed", tail=True),
            Figure("cancel_elsewhere", "elsewhere, to CANCELLED", tail=True),
            Figure("cancel_elsewhere_closed", "elsewhere, to connection closed", tail=True),
        ),
        "cancel",
    ),
    Section(
        "Memory a run in flight",
        "Growth of the process's resident memory with runs that wait for their model, by their "
        "number.",
        (Figure("memory", "memory", "KiB", 1.0),),
        "memory",
    ),
    Section(
        "Poll",
        "The status and output of a run that has ended, in sessions of several sizes, asked for in "
        "turn; and beside very many runs in the table.",
        (
            Figure("poll_1", "1 run in the session", tail=True),
            Figure("poll_1000", "1,000 runs in the session", tail=True),
            Figure("poll_10000", "10,000 runs in the session", tail=True),
            Figure("poll_alone", "1 run in the table", tail=True),
            Figure("poll_table", "the crowded table", tail=True),
        ),
        "poll",
    ),
    Section(
        "Take-over after kill -9",
        "A worker is killed while its run waits for the model: until the model is called again. "
        "kern's heartbeat is 2 s here (15 s by default).",
        (Figure("take_over", "take-over", "s", 1.0),),
    ),
    Section(
        "Events, from writer to reader",
        "A tool returns the time; until its ToolCallCompleted is read in another process.",
        (Figure("events", "event", tail=True),),
    ),
    Section(
        "Readers of streams",
        "50 background runs whose model streams 50 pieces within a second, each run read by 4 "
        "readers in the process that executes it; and the same runs without readers. A delay is "
        "from where a piece leaves the model to where a reader has it.",
        (
            Figure("readers", "delay of a piece", tail=True),
            Figure("readers_processor", "processor time a run, the process, with readers"),
            Figure("readers_processor_alone", "processor time a run, the process, without"),
            Figure("readers_postgres", "processor time a run, PostgreSQL, with readers"),
            Figure("readers_postgres_alone", "processor time a run, PostgreSQL, without"),
            Figure("readers_statements", "with readers", "statements a run", 1.0),
            Figure("readers_statements_alone", "without", "statements a run", 1.0),
        ),
    ),
    Section(
        "The steps of a long run",
        "One run calls a tool in each of 400 turns. Processor time of a turn, the mean of forty. "
        "What is written by hand makes the same requests and nothing else: what is on the wire.",
        (
            Figure("steps_early", "turns 5 to 45"),
            Figure("steps_late", "turns 355 to 395"),
        ),
    ),
    Section(
        "Import, and making an agent",
        "In fresh processes: what a user imports to define an agent; and an agent, made.",
        (
            Figure("import", "imports", "s", 1.0),
            Figure("import_kern", "`import kern`", "s", 1.0),
            Figure("construct", "one agent"),
        ),
        "import",
    ),
)


class Report:
    """The report of one measurement.

    Attributes:
        record: what was measured where, as it is kept in JSON: ``date``, ``quick``, ``rounds``,
            ``machine``, ``postgres``, ``versions``, ``scale`` and ``results``.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        """Take the record."""
        self.record = record
        self.findings = Findings(record["results"])
        names = {result["contender"] for result in record["results"]}
        self.entries = [entry for entry in ENTRIES if entry.name in names]

    def write(self, directory: Path) -> None:
        """Write ``benchmarks.md`` and ``benchmarks.json`` into a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        page = directory / "benchmarks.md"
        text = page.read_text() if page.exists() else _NEW_PAGE
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n\n{self.text()}\n{END}{after}")
        results = ",\n".join(json.dumps(result) for result in self.record["results"])
        head = json.dumps({**self.record, "results": []}, indent=1, ensure_ascii=False)
        head = head.removesuffix("[]\n}")
        (directory / "benchmarks.json").write_text(f"{head}[\n{results}\n]}}\n")

    def text(self) -> str:
        """Return what stands between the markers."""
        return "\n".join([*self._head(), *self._goals(), *self._sections()])

    def _head(self) -> list[str]:
        machine = self.record["machine"]
        commit = self.findings.cell("commit", Figure("commit", ""))
        lines = [
            f"Measured on {self.record['date']} in {self.record['rounds']} rounds"
            f"{' (quick mode)' if self.record['quick'] else ''} on {machine['cores']} cores of "
            f"{machine['processor']}, {machine['memory']}, {machine['system']}; "
            f"{self.record['postgres']}"
            + (f", whose single-row commit takes {commit.median:.2f} ms." if commit else "."),
            "",
            "| contender | versions |",
            "| --- | --- |",
        ]
        for entry in self.entries:
            found = self.record["versions"][entry.name]
            versions = ", ".join(f"{name} {found[name]}" for name in found)
            lines.append(f"| {entry.title} | {versions} |")
        return [*lines, ""]

    def _goals(self) -> list[str]:
        lines = ["## Goals", "", "| figure | goal | measured | |", "| --- | --- | --- | --- |"]
        verdicts = {True: "reached", False: "**not reached**", None: "—"}
        for goal in goals(self.findings):
            verdict = verdicts[goal.reached]
            lines.append(f"| {goal.figure} | {goal.goal} | {goal.measured} | {verdict} |")
        lines += ["", "Ratios are medians of the rounds' ratios, with the least and the greatest."]
        return [*lines, ""]

    def _sections(self) -> list[str]:
        lines: list[str] = []
        for section in SECTIONS:
            tables = [line for figure in section.figures for line in self._table(figure)]
            if tables:
                lines += [f"## {section.title}", "", section.text, "", *tables]
                if section.plot:
                    lines += [f"![{section.title}](benchmarks/{section.plot}.png)", ""]
        return lines

    def _table(self, figure: Figure) -> list[str]:
        """Return a table with a row a contender, or nothing where none was measured.

        Those who cannot do it for the same reason share a row.
        """
        rows, absent = [], dict[str, list[str]]()
        for entry in self.entries:
            if cell := self.findings.cell(entry.name, figure):
                rows.append(_row(entry.title, figure, cell))
            elif reason := self._reason(entry.name, figure.key):
                absent.setdefault(reason, []).append(entry.title)
        if not rows:
            return []
        tail = " p99 |" if figure.tail else ""
        empty = " — |" * (3 + figure.tail)
        return [
            f"| {figure.title}, {figure.unit} | median | least to most |{tail} to kern | |",
            f"| --- | ---: | ---: |{' ---: |' if tail else ''} ---: | --- |",
            *rows,
            *(f"| {'; '.join(absent[reason])} |{empty} {reason} |" for reason in absent),
            "",
        ]

    def _reason(self, contender: str, figure: str) -> str | None:
        return self.findings.reason(contender, figure) or self.findings.reason(
            contender, _question(figure)
        )


def _row(title: str, figure: Figure, cell: Cell) -> str:
    tail = f" {number(cell.tail)} |" if figure.tail else ""
    ratio = "—" if cell.ratio is None else f"{number(cell.ratio)} ×"
    return (
        f"| {title} | {number(cell.median)} | {number(cell.least)} to {number(cell.most)} |"
        f"{tail} {ratio} | {cell.note} |"
    )


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def _question(figure: str) -> str:
    """Return the measurement that a figure comes from."""
    for question in ("cancel_here", "cancel_elsewhere", "fleet"):
        if figure.startswith(question):
            return question
    size = figure.removeprefix("poll_")
    return "poll" if size.isdecimal() else figure
