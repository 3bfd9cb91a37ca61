"""What is called before and after the runs of an agent."""

from collections.abc import Sequence

from kern.agent.parts.part import Part


class Hooks(Part):
    """What is called before and after a run.

    Attributes:
        pre_hooks: functions and guardrails that are called before the model is asked.
        post_hooks: the same once it has answered.
    """

    pre_hooks: Sequence[object] | None = None
    post_hooks: Sequence[object] | None = None
