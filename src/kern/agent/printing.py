"""An agent's methods that show a run in the terminal."""

from collections.abc import Collection

from typing_extensions import Unpack

from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.request import Request
from kern.agent.sync.running import SyncRunning
from kern.errors import InvalidInputError
from kern.run.agent import Output
from kern.run.base import Deps


class Printing(SyncRunning[Deps, Output]):
    """What an agent can do to show its runs."""

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
        console = Console() if console is None else console
        if not isinstance(console, Console):
            raise InvalidInputError(f"console must be rich's Console, not {console!r:.50}.")
        options["stream_events"] = stream
        request = Request.of(self, input, output_schema=output_schema, **options)
        view = View(
            self.name,
            question_of(request) if show_message else None,
            (self.markdown or None) if markdown is None else markdown,
            tags_to_include_in_markdown,
            show_reasoning,
            show_full_reasoning,
        )
        if stream:
            await show_events(view, request.stream(), console)
        else:
            await show_run(view, request.execute(), console)
