"""The port of guardrails, and how one checks tool calls."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kern.aio.threads import call_in_thread
from kern.errors import CheckError, ConfigurationError, InputCheckError, OutputCheckError
from kern.keywords import Recorded
from kern.run.given import RunInput, texts_in

# What is read in some milliseconds, in characters.
_LONG = 20_000


class BaseGuardrail(Recorded):
    """Checks a text, and refuses it by an error or replaces it. A subclass overrides :meth:`check`.

    The same object serves everywhere: in ``pre_hooks`` it checks what goes into a run, in
    ``post_hooks`` what the run answers, and in ``tool_hooks`` the arguments of each tool call and
    what the tool returns. What it checks is always the ``input_content`` of a :class:`RunInput`.
    What it raises as an :class:`InputCheckError` ends the run; as a post-hook it ends it with an
    :class:`OutputCheckError`; in ``tool_hooks`` the model is told that the call was refused.

    Example:
        >>> class Polite(BaseGuardrail):
        ...     def check(self, run_input):
        ...         if "please" not in run_input.input_content_string():
        ...             raise InputCheckError("Say please.")
        >>> Polite().check(RunInput("Tea, please."))
    """

    def check(self, run_input: RunInput) -> None:
        """Check a text; called in a thread, where it may block.

        Args:
            run_input: the text is its ``input_content``, which may be replaced.

        Raises:
            InputCheckError: it is refused.
        """
        raise NotImplementedError(f"{type(self).__name__} has no check of its own.")

    async def async_check(self, run_input: RunInput) -> None:
        """Check a text in the event loop; by default as :meth:`check` does, in a thread.

        Args:
            run_input: see :meth:`check`.

        Raises:
            InputCheckError: it is refused.
        """
        result: Any = await call_in_thread(lambda: self.check(run_input))
        if inspect.isawaitable(result):  # A subclass may have it asynchronous.
            await result

    def at_submit(self, text: str) -> str:
        """Return a text as it may be stored; by default as it is.

        What a run is given goes through this before it is accepted, where the guardrail is one of
        its agent's ``pre_hooks``, so that nothing else is ever at rest. It is pure and quick, and
        leaves as it is what went through it already.

        Args:
            text: one text of the input.
        """
        return text

    async def checked(self, content: Any, error: type[CheckError] = InputCheckError) -> Any:
        """Return a content as the check leaves it.

        Args:
            content: what is checked.
            error: what is raised in place of the check's own error.

        Raises:
            CheckError: it is refused.
        """
        run_input = RunInput(content)
        try:
            await self.async_check(run_input)
        except CheckError as refused:
            if isinstance(refused, error):
                raise
            trigger, default = refused.check_trigger, type(refused)._default
            raise error(
                refused.message, None if trigger == default else trigger, refused.additional_data
            ) from refused
        return run_input.input_content

    async def __call__(
        self, function_name: str, function: Callable[..., Any], arguments: Mapping[str, object]
    ) -> Any:
        """Check a tool call, make it, and check what it returns: what ``tool_hooks`` call.

        Args:
            function_name: the tool.
            function: makes the call.
            arguments: what it is called with.

        Raises:
            CheckError: the arguments or the result are refused.
        """
        result = function(**await self.checked(dict(arguments)))
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, str | list | dict):
            return await self.checked(result, OutputCheckError)
        await self.checked(str(result), OutputCheckError)
        return result


def check_guardrail(guardrail: BaseGuardrail) -> BaseGuardrail:
    """Return a guardrail that has a check.

    Raises:
        ConfigurationError: it has none.
    """
    kind = type(guardrail)
    if kind.check is BaseGuardrail.check and kind.async_check is BaseGuardrail.async_check:
        raise ConfigurationError(
            f"The guardrail {kind.__name__} checks nothing: give it check(self, run_input), or "
            "async_check."
        )
    return guardrail


def is_long(run_input: RunInput) -> bool:
    """Say whether to read the text in the event loop would hold others up."""
    return sum(map(len, texts_in(run_input.input_content))) > _LONG
