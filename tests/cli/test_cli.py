"""What the command line shows, and how its servers come and go."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from typer.testing import CliRunner

from kern import __version__
from kern.cli.main import app

KERN = str(Path(sys.executable).with_name("kern"))
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER = "The capital of France is Paris."


def kern(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KERN, *arguments], capture_output=True, text=True, timeout=30, env=os.environ | environment
    )


@pytest.mark.parametrize(
    "command", [[], ["db"], ["db", "up"], ["model"], ["model", "serve"], ["worker"], ["runs"]]
)
def test_help_explains_every_command(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


def test_version() -> None:
    shown = kern("--version")
    assert (shown.returncode, shown.stdout) == (0, f"kern {__version__}\n")


@pytest.mark.parametrize("command", [["model", "serve"], ["db", "up"]])
def test_an_error_is_one_line(command: list[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with tempfile.TemporaryDirectory() as home:
            Path(home).chmod(0o755)
            shown = kern(*command, "--port", port, KERN_HOME=home)
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert shown.stderr.startswith("Error: ")
    assert shown.stderr.count("\n") == 1


def test_a_worker_without_agents_says_so() -> None:
    shown = kern("worker", "nothing:agents")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("Error: There is no module named 'nothing' in ")
    assert shown.stderr.count("\n") == 1


def test_starting_the_command_line_loads_no_server() -> None:
    code = (
        "import sys, kern.cli.main; assert not {'xllamacpp', 'asyncpg', 'openai'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=80)


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[subprocess.Popen[str], OpenAI]]:
    command = [KERN, "model", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving at http://127.0.0.1:")
            with OpenAI(base_url=line.split()[2], api_key="none", max_retries=0) as client:
                yield process, client
        finally:
            process.kill()


Model = tuple[subprocess.Popen[str], OpenAI]


def test_model_answers(model: Model) -> None:
    _, client = model
    answer = client.responses.create(model="gpt-5-mini", input=QUESTION)
    assert answer.output_text == ANSWER
    assert str(Path.home()) not in answer.model


def test_model_streams(model: Model) -> None:
    _, client = model
    events = list(client.responses.create(model="gpt-5-mini", input=QUESTION, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == ANSWER
    assert events[-1].type == "response.completed"


def test_model_answers_chat_completions(model: Model) -> None:
    _, client = model
    answer = client.chat.completions.create(
        model="any-name", messages=[{"role": "user", "content": QUESTION}]
    )
    assert answer.choices[0].message.content == ANSWER


def test_model_stops_on_sigterm(model: Model) -> None:
    process, client = model
    # Even in the middle of a long answer.
    stream = client.responses.create(
        model="gpt-5-mini", input="Write a very detailed essay of 5000 words.", stream=True
    )
    next(iter(stream))
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    stream.close()
