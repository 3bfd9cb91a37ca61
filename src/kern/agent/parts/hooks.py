"""What is called before and after the runs of an agent."""

from collections.abc import Sequence

from typing_extensions import override

from kern.agent.parts.part import Part
from kern.execution.hooks import Hooks


class HooksPart(Part):
    """What is called before and after a run.

    Attributes:
        pre_hooks: functions and guardrails that are called before the model is asked.
        post_hooks: the same once it has answered.
    """

    pre_hooks: Sequence[object] | None = None
    post_hooks: Sequence[object] | None = None

    hooks: Hooks | None = None

    @override
    def _build(self) -> None:
        self.__dict__["hooks"] = Hooks.of(self.pre_hooks, self.post_hooks)
