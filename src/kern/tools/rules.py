"""The rules of a tool: the keywords that ``@tool`` and every other kind of tool share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, cast, get_args

from kern.binder import Binder, Known, name_of
from kern.errors import ConfigurationError
from kern.keywords import explanation
from kern.run.base import RUN_VALUES
from kern.run.numbers import check_count, check_seconds
from kern.run.requirement import OnExpiry

Interrupt: TypeAlias = Literal["retry", "fail", "pause"]
"""What becomes of a call that was under way when its process was lost."""

UserFunction: TypeAlias = Callable[..., object]
"""A function of a user's, which is given what its parameters name."""


class ToolRules(TypedDict, total=False):
    """The keywords of every tool, which are attributes of it, too.

    Attributes:
        on_interrupt: what becomes of a call that was under way when its process was lost, and
            may have had its effect: ``"retry"`` (the default) makes it again, with the same
            idempotency key; ``"fail"`` tells the model that its outcome is unknown; ``"pause"``
            pauses the run for a person to decide.
        timeout: seconds that a call may take, a wait for a thread not counted; then the model is
            told that it took too long. By default any. A synchronous function goes on in its
            thread until it looks at ``context.cancelled``.
        requires_confirmation: whether a person has to confirm each call before it is made; or a
            function that says it of a call: of its arguments by their names (or all of them as
            ``arguments``), and of the run, by what its parameters name (:data:`CONDITION_VALUES`).
            Where it raises, a person is asked. So it is with ``requires_user_input`` and
            ``external_execution``.
        requires_user_input: whether a person has to give arguments of each call first. The model is
            not told of these, unless this is a function.
        user_input_fields: which arguments; by default all.
        external_execution: whether each call is made elsewhere, and its result given.
        expires_in: seconds for which a person can answer; by default without end.
        on_expiry: what becomes of a call that nobody has answered by then: ``"reject"`` (the
            default) tells the model so; ``"fail"`` ends the run in ERROR.
        external_execution_silent: whether nothing is printed of such a call.
        approval_type: which record is kept of what a person decides about a call, for who looks for
            it in the database (:func:`kern.approval.approval`): ``"required"`` makes one as the run
            pauses, with which it can be decided, too; it implies ``requires_confirmation`` where
            no other flag says what the person has to do. ``"audit"`` makes one of the decision.
        approval_strict: whether a ``"required"`` record alone decides, whatever a run is continued
            with.
        sequential: whether a call is made alone: those before it in the model's answer have ended
            by then, and those after it wait for it. A call that waits for a person holds up no
            other.
        call_limit: how many calls of the tool a run may make; the model is told of it then.
        stop_after_tool_call: whether the run ends with a call that has not failed; its result is
            the answer then, so it implies ``show_result``.
        show_result: whether the result is a part of the answer.
        cache_results: whether a result is kept on this machine, and given to later calls with the
            same arguments; of a tool that asks for the run's context, to those of the same user.
        cache_dir: where; by default ``kern/tools`` in ``XDG_CACHE_HOME``, or in ``~/.cache``.
        cache_ttl: for how many seconds a result is of use, 3600 by default.
        pre_hook: a function that is called before each call.
        post_hook: a function that is called after each call that has not failed.
        tool_hooks: functions around each call, the first outermost, within those of the agent.
        instructions: what the model is told of the tool in its system message.
        add_instructions: whether it is told so; True by default.
        title: what people call the tool.
        annotations: hints for clients of MCP, which kern only keeps.
    """

    on_interrupt: Interrupt
    timeout: float | None
    requires_confirmation: bool | UserFunction
    requires_user_input: bool | UserFunction
    user_input_fields: Sequence[str] | None
    external_execution: bool | UserFunction
    expires_in: float | None
    on_expiry: OnExpiry
    external_execution_silent: bool
    approval_type: Literal["required", "audit"] | None
    approval_strict: bool
    sequential: bool
    call_limit: int | None
    stop_after_tool_call: bool
    show_result: bool
    cache_results: bool
    cache_dir: str | Path | None
    cache_ttl: float
    pre_hook: UserFunction | None
    post_hook: UserFunction | None
    tool_hooks: Sequence[UserFunction] | None
    instructions: str | None
    add_instructions: bool
    title: str | None
    annotations: object


HOOK_VALUES: Known = {**RUN_VALUES, "fc": "FunctionCall"}
"""What a hook before or after a call may ask for."""

AROUND_VALUES: Known = {
    **RUN_VALUES,
    **dict.fromkeys(("name", "function_name")),
    **dict.fromkeys(("function", "func", "function_call")),
    **dict.fromkeys(("args", "arguments")),
}
"""What a hook around a call may ask for."""

CONDITION_VALUES: Known = {
    **RUN_VALUES,
    **dict.fromkeys(("name", "function_name")),
    **dict.fromkeys(("args", "arguments")),
}
"""What a function may ask for that says whether a call needs a person, beside its arguments."""

MARK = "__kern_rules__"
"""The attribute under which a plain function holds rules that a tool of it has."""

_HUMAN = ("requires_confirmation", "requires_user_input", "external_execution")
_FLAGS = (
    *_HUMAN,
    "external_execution_silent",
    "approval_strict",
    "sequential",
    "stop_after_tool_call",
    "show_result",
    "cache_results",
    "add_instructions",
)


def checked(function: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that were given, with those that they imply.

    Args:
        function: who was given them, for errors.
        rules: the keywords.

    Raises:
        TypeError: there is no such keyword; the text names the nearest one.
        ConfigurationError: a value cannot be used, or two rules exclude each other.
    """
    if not rules:
        return {}
    known = ToolRules.__annotations__
    if wrong := next((name for name in rules if name not in known), None):
        raise TypeError(explanation(function, wrong, [*known]))
    found = dict(rules)
    if found.get("user_input_fields") is not None:
        found["requires_user_input"] = True
    if found.get("stop_after_tool_call"):
        found.setdefault("show_result", True)
    for name in _FLAGS:
        if name in _HUMAN and callable(found.get(name)):
            continue
        if not isinstance(found.get(name, False), bool):
            raise ConfigurationError(f"{name} must be True or False, not {found[name]!r:.50}.")
    check_one_wait(found)
    _check_approval(found)
    interrupts = get_args(Interrupt)
    if found.get("on_interrupt", "retry") not in interrupts:
        raise ConfigurationError(
            f"on_interrupt must be 'retry', 'fail' or 'pause', not {found['on_interrupt']!r}."
        )
    if found.get("on_expiry", "reject") not in get_args(OnExpiry):
        raise ConfigurationError(
            f"on_expiry must be 'reject' or 'fail', not {found['on_expiry']!r:.50}."
        )
    for name in ("timeout", "cache_ttl", "expires_in"):
        if found.get(name) is not None:
            check_seconds(name, found[name], ConfigurationError)
    if found.get("call_limit") is not None:
        check_count("call_limit", found["call_limit"], ConfigurationError)
    return found


def _check_approval(rules: dict[str, Any]) -> None:
    """Complete the rules of a tool of whose calls there are records."""
    kind, is_human = rules.get("approval_type"), any(rules.get(name) for name in _HUMAN)
    if kind not in (None, "required", "audit"):
        raise ConfigurationError(f"approval_type must be 'required' or 'audit', not {kind!r:.50}.")
    if rules.get("approval_strict") and kind != "required":
        raise ConfigurationError("approval_strict: only with an approval_type of 'required'.")
    if kind == "required" and not is_human:
        rules["requires_confirmation"] = True
    if kind == "audit" and not is_human:
        raise ConfigurationError(
            "An approval of the type 'audit' is the record of a decision, and nobody is asked for "
            "one: give the tool requires_confirmation, requires_user_input or external_execution."
        )


def check_one_wait(rules: Mapping[str, object]) -> None:
    """Make sure that each call of a tool waits for one thing at most.

    Args:
        rules: those of the tool.

    Raises:
        ConfigurationError: rules exclude each other.
    """
    if len(human := [name for name in _HUMAN if rules.get(name)]) > 1:
        raise ConfigurationError(
            f"{' and '.join(human)} exclude each other: a call waits for one thing. Choose one."
        )


def condition_of(rules: Mapping[str, object], arguments: Iterable[str], name: str) -> Binder | None:
    """Return the function that says whether a call needs a person, or None where there is none.

    Args:
        rules: those of a tool.
        arguments: the names of the arguments of its calls.
        name: the tool.

    Raises:
        ConfigurationError: the function asks for what there is not.
    """
    rule = next((each for each in _HUMAN if callable(rules.get(each))), None)
    if rule is None:
        return None
    known = {**CONDITION_VALUES, **dict.fromkeys(arguments)}
    function = cast("UserFunction", rules[rule])
    return Binder(function, known, what=f"{rule} of the tool {name}")


def hook_of(kind: str, function: UserFunction | None, name: str) -> Binder | None:
    """Return a hook before or after the calls of a tool, or None where there is none.

    Args:
        kind: ``"pre_hook"`` or ``"post_hook"``.
        function: the hook.
        name: the tool.

    Raises:
        ConfigurationError: it cannot be called, or asks for what there is not.
    """
    if function is None:
        return None
    return Binder(function, HOOK_VALUES, what=f"The {kind} of the tool {name}")


def hooks_around(functions: Sequence[UserFunction] | None, whose: str) -> tuple[Binder, ...]:
    """Return hooks around calls, the first outermost.

    Args:
        functions: the hooks.
        whose: whose they are, for errors, as in ``"the tool pay"``.

    Raises:
        ConfigurationError: one cannot be called, or asks for what there is not.
    """
    return tuple(
        Binder(each, AROUND_VALUES, what=f"A tool_hook of {whose}, {name_of(each)},")
        for each in functions or ()
    )
