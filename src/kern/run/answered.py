"""What a run has answered so far, by its steps: a part of :mod:`kern.run.fold`."""

from kern.run.concluded import shown_answer
from kern.run.happened import followups_in
from kern.run.hook_events import last_replacing, replaced_text
from kern.run.references import MessageReferences
from kern.run.steps import (
    FOLLOWUPS,
    OUTPUT_MODEL,
    AnswerRefused,
    ContextBuilt,
    HookEnded,
    SecondaryAnswered,
)
from kern.run.turn import Turn


class Answered:
    """The part of :class:`~kern.run.fold.RunState` that says what the run has answered.

    Attributes:
        turns: the model's answers.
        secondary: the answers of secondary models, and which of them were refused.
        is_shown: whether results of tools are a part of the answer.
        told: what the model is told beside the messages, where that is not always the same.
        searched: what the model has found in the agent's knowledge.
        hooks: the hooks that have ended; those after an answer that was refused are left out.
    """

    __slots__ = ()

    turns: list[Turn]
    secondary: tuple[SecondaryAnswered | AnswerRefused, ...]
    is_shown: bool
    told: ContextBuilt | None
    searched: tuple[MessageReferences, ...]
    hooks: tuple[HookEnded, ...]

    @property
    def is_answered(self) -> bool:
        """Whether the model has given its last answer."""
        if not self.turns:
            return False
        last = self.turns[-1]
        if last.message.tool_calls:
            return last.ends and not last.open_calls
        return last.complaint is None and not last.added

    @property
    def answer_text(self) -> str | None:
        """The text of the answer: of the model that writes the final one, or the agent's own."""
        if self.hooks and (text := replaced_text(last_replacing(self.hooks))) is not None:
            return text
        if self.secondary and (written := self.answers_of(OUTPUT_MODEL)):
            return written[-1].message.text
        if self.is_shown:
            return shown_answer(self.turns)
        for turn in reversed(self.turns):
            if text := turn.message.text:
                return text
        return None

    @property
    def replaced(self) -> tuple[object, str] | None:
        """What a post-hook has put in the place of the answer, with its type."""
        last = last_replacing(self.hooks)
        return None if last is None else last.content

    @property
    def followups(self) -> tuple[str, ...]:
        """What the user may want to ask next."""
        suggested = self.answers_of(FOLLOWUPS)
        return followups_in(suggested[-1].message.text) if suggested else ()

    @property
    def references(self) -> tuple[MessageReferences, ...]:
        """What was found in the agent's knowledge, for the input and by the model."""
        first = None if self.told is None else self.told.references
        return self.searched if first is None else (first, *self.searched)

    def answers_of(self, name: str) -> list[SecondaryAnswered]:
        """Return what a secondary model has answered.

        Args:
            name: which one.
        """
        answered = (each for each in self.secondary if isinstance(each, SecondaryAnswered))
        return [each for each in answered if each.name == name]
