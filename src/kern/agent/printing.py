"""An agent's methods that show a run in the terminal."""

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.request import Request
from kern.agent.streamed import stream_of
from kern.agent.sync.running import SyncRunning
from kern.aio.threads import call_in_thread
from kern.errors import InvalidInputError
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.identity import new_id

if TYPE_CHECKING:
    from rich.console import Console


class Printing(SyncRunning[Deps, Output]):
    """What an agent can do to show its runs.

    Attributes:
        shows_children: whether what other agents have answered is shown, too.
    """

    shows_children: bool = False

    async def aprint_response(
        self,
        input: Input,
        *,
        stream: bool | None = None,
        markdown: bool | None = None,
        show_message: bool = True,
        show_reasoning: bool = True,
        show_full_reasoning: bool = False,
        console: object | None = None,
        tags_to_include_in_markdown: Collection[str] = ("think", "thinking"),
        output_schema: object = None,
        **options: Unpack[RunOptions],
    ) -> None:
        """Run the agent and show its answer in the terminal.

        Args:
            input: what it is asked, as of :meth:`arun`.
            stream: show the answer while it is written; by default as the agent says, or not.
            markdown: True to show the answer as Markdown, False as the text that it is; by default
                as the agent says. Where that says nothing either it is shown as Markdown whose
                lines stay as they are.
            show_message: show what was asked, too.
            show_reasoning: show what the model says of how it came to its answer.
            show_full_reasoning: show all of that, however long.
            console: where, a :class:`rich.console.Console`; by default one on standard output.
            tags_to_include_in_markdown: tags that the answer may hold, and that are shown.
            output_schema: what the run answers, as of :meth:`arun`.
            options: all other options of :meth:`arun`, but for ``background``.

        Raises:
            Exception: as :meth:`arun` does; what there was of an answer is shown by then.
        """
        from rich.console import Console

        from kern.agent.display import View, question_of, show_events, show_run

        stream = self.stream if stream is None else stream
        if options.get("background"):
            raise InvalidInputError(
                "background=True: nothing could be shown yet. Begin the run with arun(), and show "
                "it with kern.utils.pprint once it has ended."
            )
        shown = _checked(console) or Console()
        options["stream_events"] = stream
        request = Request.of(self, input, output_schema=output_schema, **options)
        view = View(
            self.name,
            question_of(request) if show_message else None,
            (self.markdown or None) if markdown is None else markdown,
            tags_to_include_in_markdown,
            show_reasoning,
            show_full_reasoning,
            children=self.shows_children,
        )
        if stream:
            await show_events(view, stream_of(request), shown)
        else:
            await show_run(view, request.execute(), shown)

    async def acli_app(
        self,
        input: Input | None = None,
        *,
        user: str = "User",
        emoji: str = "",
        exit_on: Collection[str] | None = None,
        stream: bool | None = None,
        markdown: bool | None = None,
        console: object | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        """Talk to the agent in the terminal, in one session, until one of the last words is said.

        Args:
            input: what it is asked first; by default the user is.
            user: what the user is called.
            emoji: what stands before that, such as ``":sunglasses:"``.
            exit_on: the words that end it, as the end of the input does; by default "exit",
                "quit" and "bye".
            stream: see :meth:`aprint_response`, as for the next two.
            markdown: see there.
            console: see there.
            options: all other options of :meth:`arun`, but for ``background``.

        Raises:
            Exception: as :meth:`arun` does.
        """
        from rich.console import Console
        from rich.prompt import Prompt

        shown = _checked(console) or Console()
        ask = partial(Prompt.ask, f"[bold]{f'{emoji} {user}'.strip()}[/bold]", console=shown)
        if self.remembered is None:  # Else its runs continue one conversation anyway.
            options["session_id"] = options.get("session_id") or self.session_id or new_id()
        last_words = ("exit", "quit", "bye") if exit_on is None else exit_on
        said = input
        while True:
            if said is None:
                try:
                    said = await call_in_thread(ask)
                except EOFError:
                    return
            if isinstance(said, str) and said.strip().lower() in last_words:
                return
            if said:
                await self.aprint_response(
                    said,
                    stream=stream,
                    markdown=markdown,
                    show_message=False,
                    console=shown,
                    **options,
                )
            said = None


def _checked(console: object | None) -> "Console | None":
    from rich.console import Console

    if console is None or isinstance(console, Console):
        return console
    raise InvalidInputError(f"console must be rich's Console, not {console!r:.50}.")
