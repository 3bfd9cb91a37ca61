"""An agent's answer in the terminal, and where there is none."""

import asyncio
import io
import re
from contextlib import redirect_stdout

import pytest
from locally import LOCALLY, LOCALLY_OR_NONE
from rich.console import Console

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import InvalidInputError, ModelError
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.utils import pprint


class Screen(io.StringIO):
    """What is printed, and how to wait for it from the test's event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._written = asyncio.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self._loop.call_soon_threadsafe(self._written.set)
        return count

    async def shows(self, text: str) -> None:
        """Wait until this was printed."""
        async with asyncio.timeout(20):
            while text not in self.getvalue():
                await self._written.wait()
                self._written.clear()


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is not a terminal taken for one."""
    monkeypatch.setenv("FORCE_COLOR", "1")


@LOCALLY_OR_NONE
@pytest.mark.parametrize("stream", [False, True], ids=["at-its-end", "live"])
async def test_the_question_and_the_answer_are_shown(
    any_db: Database | None,
    model: OpenAIResponses,
    server: ResponsesServer,
    capsys: pytest.CaptureFixture[str],
    stream: bool,
) -> None:
    server.script.append(Reply.text("# Once\n\n", "**upon** a ", "time"))
    agent = Agent("Tester", model, db=any_db)
    await agent.aprint_response("Tell [bold]me[/bold].", stream=stream)
    shown = capsys.readouterr().out
    assert "Tell [bold]me[/bold]." in shown
    assert "upon a time" in shown
    assert shown.count("upon a time") == 1
    assert shown.endswith("\n")
    assert "\x1b" not in shown


def test_the_twin_without_a_loop_shows_the_same(
    threaded_server: ResponsesServer,
    threaded_model: OpenAIResponses,
    capsys: pytest.CaptureFixture[str],
) -> None:
    threaded_server.script.append(Reply.text("Once ", "upon"))
    Agent("Tester", threaded_model).print_response("Tell me.")
    shown = capsys.readouterr().out
    assert "Tell me." in shown
    assert "Once upon" in shown


@pytest.mark.usefixtures("_terminal")
async def test_a_terminal_shows_the_answer_while_it_is_written(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Once ", "upon").held(after=1)
    server.script.append(reply)
    with redirect_stdout(Screen()) as screen:
        agent = Agent("Tester", model)
        printing = asyncio.create_task(agent.aprint_response("Tell me.", stream=True))
        await screen.shows("Once")
        assert "upon" not in screen.getvalue()
        reply.release()
        await printing
    assert "Once upon" in screen.getvalue()


@pytest.mark.usefixtures("_terminal")
async def test_on_request_a_terminal_shows_the_answer_only_at_its_end(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Once ", "upon").held(after=1)
    server.script.append(reply)
    agent = Agent("Tester", model)
    with redirect_stdout(Screen()) as screen:
        printing = asyncio.create_task(agent.aprint_response("Tell me.", stream=False))
        await screen.shows("Tester is thinking")
        await server.wait_for_requests(1)
        reply.release()
        await printing
    before, _, after = screen.getvalue().rpartition("Tester is thinking")
    assert "Once" not in before
    assert "Once upon" in after


async def test_what_there_was_of_a_failed_answer_is_shown_before_the_error(
    model: OpenAIResponses, server: ResponsesServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    with pytest.raises(ModelError, match="cannot be reached"):
        await Agent("Tester", model).aprint_response("Tell me.", stream=True)
    shown = capsys.readouterr().out
    assert shown.index("Once") < shown.index("Error") < shown.index("cannot be reached")


@pytest.mark.parametrize("stream", [False, True], ids=["at-its-end", "live"])
async def test_an_error_is_shown_as_one_and_not_as_an_answer(
    model: OpenAIResponses, server: ResponsesServer, stream: bool
) -> None:
    server.script.append(Reply.http_error(400, "No such thing."))
    agent = Agent("Tester", model, raise_on_error=False)
    console, shown = shown_by()
    await agent.aprint_response("Tell me.", stream=stream, console=console)
    assert shown.getvalue().count("No such thing.") == 1
    assert "─ Error ─" in shown.getvalue()
    assert "esponse" not in shown.getvalue()


@pytest.mark.parametrize("reply", [Reply(), Reply.text("")])
async def test_an_empty_answer_is_shown_as_an_error(
    model: OpenAIResponses,
    server: ResponsesServer,
    capsys: pytest.CaptureFixture[str],
    reply: Reply,
) -> None:
    server.script.append(reply)
    with pytest.raises(ModelError, match="empty answer"):
        await Agent("Tester", model).aprint_response("Tell me.", stream=True)
    shown = capsys.readouterr().out
    assert "gave an empty answer" in shown
    assert "Response" not in shown


COMMANDS = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;title\x07",
    "null": "a\x00b",
    "surrogate": "a\ud800b",
    "backspace": "a\x08b",
    "c1": "a\x9b31mb",
}


@pytest.mark.parametrize("text", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("where", ["question", "answer"])
async def test_no_text_commands_the_terminal_or_breaks_it(
    model: OpenAIResponses,
    server: ResponsesServer,
    capsys: pytest.CaptureFixture[str],
    text: str,
    where: str,
) -> None:
    if where == "answer":
        server.script.append(Reply.text(text))
    await Agent("Tester", model).aprint_response(text if where == "question" else "Hi")
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert "\ufffd" in shown


async def test_cancelling_the_display_closes_the_connection(
    model: OpenAIResponses, server: ResponsesServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script.append(Reply.text("Once ", "upon").held(after=1))
    agent = Agent("Tester", model)
    printing = asyncio.create_task(agent.aprint_response("Tell me.", stream=True))
    await server.wait_for_requests(1)
    printing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await printing
    await server.wait_for_disconnects(1)


@LOCALLY
async def test_the_conversation_goes_on_in_a_session(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    for question in ("one", "two"):
        await agent.aprint_response(question, session_id="session-1")
    roles = [item["role"] for item in server.requests[-1].body["input"]]
    assert roles == ["user", "assistant", "user"]


def shown_by() -> tuple[Console, io.StringIO]:
    """Return a console of 100 columns, and what it shows."""
    file = io.StringIO()
    return Console(file=file, width=100), file


@tool
def weather(city: str) -> str:
    """Say how the weather is."""
    return f"sunny in {city}"


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_are_shown_with_their_arguments_and_time(
    model: OpenAIResponses, server: ResponsesServer, stream: bool
) -> None:
    server.script += [Reply.tool_calls(("weather", {"city": "Bonn"})), Reply.text("Sunny.")]
    console, shown = shown_by()
    agent = Agent("Tester", model, tools=[weather])
    await agent.aprint_response("How is it?", stream=stream, console=console)
    assert "Tool Calls" in shown.getvalue()
    assert re.search(r"• weather\(city='Bonn'\) \(\d+\.\ds\)", shown.getvalue())
    assert re.search(r"Response \(\d+\.\ds\)", shown.getvalue())


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_model_thinks_is_shown_unless_it_is_not_wanted(
    model: OpenAIResponses, server: ResponsesServer, stream: bool
) -> None:
    server.default = Reply.text("42.").thinking("Let me see.")
    agent, texts = Agent("Tester", model), []
    for wanted in (True, False):
        console, shown = shown_by()
        await agent.aprint_response("?", stream=stream, show_reasoning=wanted, console=console)
        texts.append(shown.getvalue())
    assert ["Let me see." in each for each in texts] == [True, False]


async def test_the_question_is_left_out_where_it_is_not_wanted(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once."))
    console, shown = shown_by()
    await Agent("Tester", model).aprint_response("Tell me.", show_message=False, console=console)
    assert "Tell me." not in shown.getvalue()
    assert "Once." in shown.getvalue()


async def test_markdown_is_shown_as_it_is_asked_for(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("**Once**\nupon <think>a</think> time")
    agent, texts = Agent("Tester", model), []
    for markdown in (True, False, None):
        console, shown = shown_by()
        await agent.aprint_response("?", markdown=markdown, console=console)
        texts.append(shown.getvalue())
    as_markdown, as_text, as_neither = texts
    assert "Once upon <think>a</think> time" in as_markdown
    assert "**Once**" in as_text
    assert "**" not in as_neither
    assert "Once upon" not in as_neither, "its lines stay as they are"


async def test_a_value_is_shown_as_json(model: OpenAIResponses, server: ResponsesServer) -> None:
    server.script.append(Reply.text('{"city": "Bonn"}'))
    console, shown = shown_by()
    schema = {"title": "City", "type": "object", "properties": {"city": {"type": "string"}}}
    await Agent("Tester", model).aprint_response("?", output_schema=schema, console=console)
    assert '"city": "Bonn"' in shown.getvalue()


async def test_a_run_is_shown_by_itself(
    model: OpenAIResponses, server: ResponsesServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = Reply.text("Once ", "upon")
    agent = Agent("Tester", model)
    pprint.pprint_run_response(await agent.arun("?"), markdown=True, show_time=True)
    assert re.search(r"Response \(\d+\.\ds\)", capsys.readouterr().out)
    await pprint.apprint_run_response(agent.arun("?", stream=True))
    assert "Once upon" in capsys.readouterr().out


async def test_what_is_no_console_is_refused(model: OpenAIResponses) -> None:
    with pytest.raises(InvalidInputError, match="console must be rich's Console"):
        await Agent("Tester", model).aprint_response("?", console="here")
    with pytest.raises(InvalidInputError, match="nothing could be shown yet"):
        await Agent("Tester", model).aprint_response("?", background=True)


@LOCALLY
async def test_a_conversation_in_the_terminal_goes_on_until_a_last_word(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.default = Reply.text("Well.")
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    for said, ends in ((" Bye \nmore\n", "word"), ("", "end of the input")):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"one\n{said}"))
        console, shown = shown_by()
        await agent.acli_app("first", console=console)
        assert shown.getvalue().count("Well.") == 2, ends
    asked = [[item["role"] for item in each.body["input"]] for each in server.requests]
    assert asked == [["user"], ["user", "assistant", "user"]] * 2


@LOCALLY
async def test_a_conversation_in_the_terminal_is_that_of_its_agent(
    db: Database, model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Tester", model, db=db, session_id="fixed")
    monkeypatch.setattr("sys.stdin", io.StringIO("stop\n"))
    console, shown = shown_by()
    await agent.acli_app("first", user="Ada", emoji=":cat:", exit_on=["stop"], console=console)
    assert "🐱 Ada" in shown.getvalue()
    assert (await agent.aget_chat_history())[0].text == "first"


@LOCALLY
@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_that_was_cancelled_says_so(
    db: Database, model: OpenAIResponses, capsys: pytest.CaptureFixture[str], stream: bool
) -> None:
    agent = Agent("Tester", model, db=db)
    await agent.acancel_run("early")
    await agent.aprint_response("Hi", run_id="early", stream=stream)
    assert "─ Cancelled" in capsys.readouterr().out
