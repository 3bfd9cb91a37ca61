"""Writes the synchronous twins of asynchronous methods, with the same signatures and docstrings.

Each module of ``src/kern/agent`` that holds a subject becomes a module of ``src/kern/agent/sync``;
those of databases become ``sync.py`` and, a file a subject, ``sync_….py`` beside them, and so does
that of teams.
``--check`` changes nothing, and fails where one is out of date.
"""

import ast
import copy
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Subject(NamedTuple):
    """A module, and what its twins need.

    Attributes:
        source: the module.
        target: that of the twins.
        parameters: those of the class.
        caller: where to import from what runs a coroutine for synchronous code.
    """

    source: str
    target: str
    parameters: str
    caller: str


SUBJECTS = [
    Subject(
        f"agent/{name}",
        f"agent/sync/{name}",
        "[Deps, Output]",
        "from kern.agent.blocking import blocking",
    )
    for name in (
        *("running", "printing", "controlling", "continuing", "streaming", "listing", "schedules"),
        *("sessions", "state", "context", "memories", "saving"),
    )
]
SUBJECTS += [
    Subject(f"db/{source}", f"db/{target}", "", "from kern.aio.portal import finished")
    for source, target in (
        ("methods", "sync"),
        ("run_methods", "sync_runs"),
        ("approval_methods", "sync_approvals"),
        ("key_methods", "sync_keys"),
        ("component_methods", "sync_components"),
        ("memory_methods", "sync_memories"),
    )
]
SUBJECTS += [
    Subject(source, target, "", "from kern.aio.portal import finished")
    for source, target in (
        ("vectordb/methods", "vectordb/sync"),
        ("embedders/methods", "embedders/sync"),
        ("knowledge/methods", "knowledge/sync"),
        ("memory/managing", "memory/sync"),
    )
]

SUBJECTS.append(
    Subject(
        *("team/responses", "team/sync", "[Deps, Output]"),
        "from kern.agent.blocking import blocking",
    )
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Write the modules, or check them."""
    stale = []
    for subject in SUBJECTS:
        path = ROOT / f"src/kern/{subject.target}.py"
        text = twins(subject)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(text)
    if stale and "--check" in sys.argv:
        sys.exit(f"Out of date: {', '.join(stale)}. Run scripts/generate_sync.py.")


def twins(subject: Subject) -> str:
    """Return the module of twins of a subject."""
    module = ast.parse((ROOT / f"src/kern/{subject.source}.py").read_text())
    source = [each for each in module.body if isinstance(each, ast.ClassDef)][-1]
    finishes = subject.caller.endswith("finished")
    methods = [
        twin(each, finishes)
        for each in source.body
        if isinstance(each, Function) and is_public(each)
    ]
    name = subject.source.replace("/", ".")
    names = {
        each.id for method in methods for each in ast.walk(method) if isinstance(each, ast.Name)
    }
    text = "\n".join(
        [
            f'"""Generated from ``kern/{subject.source}.py`` by ``scripts/generate_sync.py``."""',
            "from collections.abc import AsyncGenerator, Iterator",
            f"from kern.{name} import {source.name}",
            subject.caller,
            "from kern.run.agent import Output",
            "from kern.run.base import Deps",
            *imports(module, names),
            f"class Sync{source.name}({source.name}{subject.parameters}):",
            f'    """The methods of :class:`{source.name}`, for code without an event loop."""',
            *(indented(ast.unparse(each)) for each in methods),
        ]
    )
    return formatted(text)


def is_public(method: Function) -> bool:
    """Say whether a method has a twin."""
    return not method.name.startswith("_")


def twin(method: Function, finishes: bool) -> ast.FunctionDef:
    """Return the synchronous twin of a method, or of an overload of it."""
    decorators = [each for each in method.decorator_list if ast.unparse(each) != "abstractmethod"]
    made = ast.FunctionDef(
        name=method.name[1:],
        args=method.args,
        decorator_list=decorators,
        returns=result(method),
        body=method.body,
        lineno=0,
    )
    if is_of_class(method) or not decorators:
        made.body = [*docstring(method), *call(method, finishes)]
    return made


def is_of_class(method: Function) -> bool:
    """Say whether a method is one of its class, and no overload."""
    return [ast.unparse(each) for each in method.decorator_list] == ["classmethod"]


def result(method: Function) -> ast.expr:
    """Return what the twin returns."""
    assert method.returns is not None, method.name
    return Awaited().visit(copy.deepcopy(method.returns))


class Awaited(ast.NodeTransformer):
    """Turns the type of what an asynchronous method returns into that of its twin."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match ast.unparse(node.value), node.slice:
            case "Coroutine", ast.Tuple(elts=[_, _, result]):
                return result
            case "AsyncGenerator", ast.Tuple(elts=[item, _]):
                return ast.parse(f"Iterator[{ast.unparse(item)}]", mode="eval").body
        return node


def docstring(method: Function) -> Iterator[ast.stmt]:
    """Yield the method's docstring, which speaks of the twins instead."""
    text = ast.get_docstring(method, clean=False)
    assert text is not None, method.name
    yield ast.Expr(ast.Constant(re.sub(r":meth:`a(\w+)`", r":meth:`\1`", text)))


def call(method: Function, finishes: bool) -> Iterator[ast.stmt]:
    """Yield the body of the twin: run the method on the loop for synchronous code."""
    assert method.returns is not None
    returns = ast.unparse(method.returns)
    own = method.args.args[0].arg
    arguments = [each.arg for each in method.args.args[1:]]
    arguments += [f"{each.arg}={each.arg}" for each in method.args.kwonlyargs]
    if method.args.kwarg is not None:
        arguments.append(f"**{method.args.kwarg.arg}")
    work = f"{own}.{method.name}({', '.join(arguments)})"
    if finishes:
        text = f"return finished({work})"
    elif "AsyncGenerator" not in returns:
        text = f"return blocking('await agent.{method.name}(...)').call({work})"
    elif "Coroutine" not in returns:
        text = f"return blocking('async for ... in agent.{method.name}(...)').iterate({work})"
    else:
        text = (
            f"portal = blocking('await agent.{method.name}(...)')\n"
            f"work = {work}\n"
            "return portal.iterate(work) if isinstance(work, AsyncGenerator) "
            "else portal.call(work)"
        )
    yield from ast.parse(text).body


def imports(module: ast.Module, names: set[str]) -> Iterator[str]:
    """Yield the imports of the module that bring these names."""
    for statement in module.body:
        if isinstance(statement, ast.ImportFrom):
            for each in statement.names:
                if (each.asname or each.name) in names:
                    yield f"from {statement.module} import {ast.unparse(each)}"


def indented(text: str) -> str:
    """Return the text of a method, within a class."""
    return "\n".join(
        f"    {line}" if number == 0 or not line.startswith("        ") else line
        for number, line in enumerate(text.splitlines())
    )


def formatted(text: str) -> str:
    """Return the text as ruff would have it, without the imports that it does not need."""
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check", "--fix", "--quiet", "--select", "F401,I"], ["format"]):
        text = subprocess.run(
            [ruff, *arguments, "--stdin-filename", "src/kern/agent/sync/twins.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    return text


if __name__ == "__main__":
    main()
