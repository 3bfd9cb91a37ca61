"""What kern needs of a database for agents at rest: their versions, a row each.

A version that is published is never changed. Which one is *current*, and which one has a label, is
said apart from it, so that what is loaded by either can be taken back.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias, get_args

from kern.run.codec import parse

ComponentType: TypeAlias = Literal["agent", "team"]
"""What is kept."""

Stage: TypeAlias = Literal["draft", "published"]
"""Whether a version may still be changed, or be the current one."""

TYPES: tuple[str, ...] = get_args(ComponentType)
STAGES: tuple[str, ...] = get_args(Stage)


class NewVersion(NamedTuple):
    """A version about to be kept.

    Attributes:
        component_id: whose it is: the id of an agent.
        component_type: what that is.
        config: what the version is, as JSON text.
        stage: whether it may be the current one.
        label: a name for it, which another version loses then; None for none.
        notes: what people say of it, or None.
    """

    component_id: str
    component_type: ComponentType
    config: str
    stage: Stage = "published"
    label: str | None = None
    notes: str | None = None


class Version(NamedTuple):
    """A version that is kept.

    Attributes:
        component_id: whose it is.
        version: its number, from 1 on.
        component_type: what it is a version of.
        stage: whether it may be the current one.
        label: its name, or None.
        notes: what people say of it, or None.
        is_current: whether it is loaded where no version is named.
        created_at: when it was kept.
        deleted_at: when it was deleted, or None.
        config: what it is, as JSON text; None where that was not asked for.
    """

    component_id: str
    version: int
    component_type: ComponentType
    stage: Stage
    label: str | None
    notes: str | None
    is_current: bool
    created_at: datetime
    deleted_at: datetime | None = None
    config: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return it by the names of its columns, with its config as JSON values."""
        found = self._asdict()
        if self.config is None:
            del found["config"]
        else:
            found["config"] = parse(self.config)
        return found


class Components(ABC):
    """The agents at rest in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def add(self, new: NewVersion) -> int | None:
        """Keep a version under the next number, and have it current if it is published.

        Returns:
            Its number; None where the id is that of a component of another type.
        """

    @abstractmethod
    async def change(self, version: int, new: NewVersion) -> bool:
        """Put another in the place of a draft; say whether there is such a draft."""

    @abstractmethod
    async def find(
        self, component_id: str, version: int | None = None, label: str | None = None
    ) -> Version | None:
        """Return a version that is not deleted, with its config.

        Args:
            component_id: whose it is.
            version: its number; None for the current one.
            label: its label, in the place of its number.
        """

    @abstractmethod
    async def versions(self, component_id: str, *, configs: bool = False) -> Sequence[Version]:
        """Return the versions of a component that are not deleted, the last one first.

        Args:
            component_id: the component.
            configs: whether with their configs.
        """

    @abstractmethod
    async def list(
        self, component_type: ComponentType | None, limit: int, offset: int
    ) -> tuple[Sequence[Version], int]:
        """Return a version of each component, by id: the current one, or else the last draft.

        Args:
            component_type: of what type; None for any.
            limit: how many at most.
            offset: how many to pass over.

        Returns:
            The versions, without their configs; and how many components there are.
        """

    @abstractmethod
    async def set_current(self, component_id: str, version: int) -> bool:
        """Have a published version be the current one, also where it was deleted.

        Returns:
            Whether there is such a version.
        """

    @abstractmethod
    async def delete(self, component_id: str, version: int | None = None, *, hard: bool) -> bool:
        """Delete versions; say whether there were any.

        Args:
            component_id: whose.
            version: which one, that is not the current one; None for all.
            hard: whether nothing is kept of them; else they can be made current again.
        """
