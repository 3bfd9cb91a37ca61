"""Generated from ``kern/agent/printing.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Collection

from typing_extensions import Unpack

from kern.agent.blocking import blocking
from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.printing import Printing
from kern.run.agent import Output
from kern.run.base import Deps


class SyncPrinting(Printing[Deps, Output]):
    """The methods of :class:`Printing`, for code without an event loop."""

    def print_response(
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
            input: what it is asked, as of :meth:`run`.
            stream: show the answer while it is written; by default as the agent says, or not.
            markdown: True to show the answer as Markdown, False as the text that it is; by default
                as the agent says. Where that says nothing either it is shown as Markdown whose
                lines stay as they are.
            show_message: show what was asked, too.
            show_reasoning: show what the model says of how it came to its answer.
            show_full_reasoning: show all of that, however long.
            console: where, a :class:`rich.console.Console`; by default one on standard output.
            tags_to_include_in_markdown: tags that the answer may hold, and that are shown.
            output_schema: what the run answers, as of :meth:`run`.
            options: all other options of :meth:`run`, but for ``background``.

        Raises:
            Exception: as :meth:`run` does; what there was of an answer is shown by then.
        """
        return blocking("await agent.aprint_response(...)").call(
            self.aprint_response(
                input,
                stream=stream,
                markdown=markdown,
                show_message=show_message,
                show_reasoning=show_reasoning,
                show_full_reasoning=show_full_reasoning,
                console=console,
                tags_to_include_in_markdown=tags_to_include_in_markdown,
                output_schema=output_schema,
                **options,
            )
        )

    def cli_app(
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
            stream: see :meth:`print_response`, as for the next two.
            markdown: see there.
            console: see there.
            options: all other options of :meth:`run`, but for ``background``.

        Raises:
            Exception: as :meth:`run` does.
        """
        return blocking("await agent.acli_app(...)").call(
            self.acli_app(
                input,
                user=user,
                emoji=emoji,
                exit_on=exit_on,
                stream=stream,
                markdown=markdown,
                console=console,
                **options,
            )
        )
