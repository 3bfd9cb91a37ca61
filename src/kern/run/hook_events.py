"""What hooks that have ended mean for a run: a part of :mod:`kern.run.fold`."""

from collections.abc import Iterator, Sequence

from kern.run.event import RunEvent
from kern.run.happened import Happened
from kern.run.steps import HookEnded


def hook_events(step: HookEnded, before: str | None) -> Iterator[Happened]:
    """Yield the events for a hook that has ended.

    Args:
        step: the hook.
        before: the text of the answer that readers have until then.
    """
    is_pre = step.kind == "pre"
    more = {f"{step.kind}_hook_name": step.name}
    yield Happened(RunEvent.pre_hook_started if is_pre else RunEvent.post_hook_started, more=more)
    if step.content is not None and not is_pre:
        if before:
            yield Happened(RunEvent.run_content_voided, before)
        if text := replaced_text(step):
            yield Happened(RunEvent.run_content, text)
    yield Happened(
        RunEvent.pre_hook_completed if is_pre else RunEvent.post_hook_completed, more=more
    )


def replaced_text(step: HookEnded | None) -> str | None:
    """Return the text that a hook has put in the place of the answer; None where it has not."""
    if step is None or step.content is None or not isinstance(step.content[0], str):
        return None
    return step.content[0]


def told_text(steps: Sequence[HookEnded], answer: str | None) -> str | None:
    """Return the text of the answer that readers have: none of a value that a hook has left.

    Args:
        steps: the hooks that have ended.
        answer: the text of the answer.
    """
    last = last_replacing(steps)
    return answer if last is None or replaced_text(last) is not None else None


def last_replacing(steps: Sequence[HookEnded]) -> HookEnded | None:
    """Return the last hook that has replaced the answer, or None."""
    posts = (each for each in reversed(steps) if each.kind == "post")
    return next((each for each in posts if each.content is not None), None)
