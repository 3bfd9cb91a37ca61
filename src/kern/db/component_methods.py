"""What a database answers who keeps agents in it, and who looks at their versions."""

from collections.abc import Mapping
from typing import cast

from kern.db.components import STAGES, TYPES, ComponentType, NewVersion, Stage
from kern.db.key_methods import Openable
from kern.errors import InvalidInputError
from kern.run.codec import check_id, encode
from kern.run.numbers import check_count


class ComponentMethods(Openable):
    """The agents at rest in a database, as versions of components: JSON values, and no secrets."""

    async def aupsert_config(
        self,
        component_id: str,
        config: Mapping[str, object],
        version: int | None = None,
        label: str | None = None,
        stage: str | None = None,
        notes: str | None = None,
        component_type: str = "agent",
    ) -> dict[str, object]:
        """Keep a version of a component, or change one that is a draft.

        Args:
            component_id: the component.
            config: what it is, as JSON values, such as :meth:`kern.agent.Agent.to_dict` gives.
            version: the draft to change; by default the next version is made.
            label: a name for it, which another version of the component loses then.
            stage: ``"published"`` (the default) makes it the current one, and nobody can change it
                any more; ``"draft"``.
            notes: what there is to say of it.
            component_type: ``"agent"`` or ``"team"``.

        Returns:
            The version by the names of its columns, with its ``version``.

        Raises:
            InvalidInputError: an argument cannot be used, there is no such draft, or the id is
                that of a component of another type.
            DatabaseError: it could not be stored.
        """
        given: object = config
        if not isinstance(given, Mapping):
            raise InvalidInputError(
                f"config must be a dict, such as to_dict returns, not {given!r:.80}."
            )
        new = NewVersion(
            check_id("component_id", component_id),
            _checked_type(component_type),
            encode({**config}, "config"),
            _checked_stage(stage or "published"),
            None if label is None else check_id("label", label),
            None if notes is None else check_text("notes", notes),
        )
        components = (await self.store()).components
        number = version
        if version is None:
            number = await components.add(new)
            if number is None:
                raise InvalidInputError(
                    f"{component_id!r:.100} is no {component_type}, but a component of another "
                    "type. Save it under another id."
                )
        elif not await components.change(check_count("version", version), new):
            raise InvalidInputError(
                f"{component_id!r:.100} has no draft of the version {version}. What is published "
                "is never changed: leave out version to make the next one."
            )
        found = await components.find(component_id, number)
        return {} if found is None else found.to_dict()

    async def aget_config(
        self, component_id: str, version: int | None = None, label: str | None = None
    ) -> dict[str, object] | None:
        """Return a version of a component.

        Args:
            component_id: the component.
            version: its number; by default the current one.
            label: its label, in the place of its number.

        Returns:
            The version by the names of its columns, with its ``config``; None where there is none.

        Raises:
            InvalidInputError: an argument cannot be used, or both are given.
            DatabaseError: it could not be read.
        """
        check_id("component_id", component_id)
        if label is not None:
            check_id("label", label)
            if version is not None:
                raise InvalidInputError("Give version or label: each names one version.")
        if version is not None:
            check_count("version", version)
        found = await (await self.store()).components.find(component_id, version, label)
        return None if found is None else found.to_dict()

    async def alist_configs(
        self, component_id: str, include_config: bool = False
    ) -> list[dict[str, object]]:
        """Return the versions of a component, the last one first.

        Args:
            component_id: the component.
            include_config: whether with the ``config`` of each.

        Raises:
            InvalidInputError: ``component_id`` cannot be an id.
            DatabaseError: they could not be read.
        """
        check_id("component_id", component_id)
        components = (await self.store()).components
        found = await components.versions(component_id, configs=include_config)
        return [each.to_dict() for each in found]

    async def alist_components(
        self, component_type: str | None = None, limit: int = 100, page: int = 1
    ) -> tuple[list[dict[str, object]], int]:
        """Return the components by id, each by its current version, or else by its last draft.

        Args:
            component_type: only those that are an ``"agent"`` or a ``"team"``.
            limit: how many at most.
            page: which page of ``limit``, from 1 on.

        Returns:
            The components, and how many there are on all pages.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        kind = None if component_type is None else _checked_type(component_type)
        offset = check_count("limit", limit) * (check_count("page", page) - 1)
        found, total = await (await self.store()).components.list(kind, limit, offset)
        return [each.to_dict() for each in found], total

    async def aset_current_version(self, component_id: str, version: int) -> bool:
        """Have a version be the one that is loaded where none is named, also one that was deleted.

        Args:
            component_id: the component.
            version: a version that is published.

        Returns:
            Whether there is such a version.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be stored.
        """
        check_id("component_id", component_id)
        number = check_count("version", version)
        return await (await self.store()).components.set_current(component_id, number)

    async def adelete_component(self, component_id: str, hard_delete: bool = False) -> bool:
        """Delete a component with all its versions.

        Args:
            component_id: the component.
            hard_delete: keep nothing of it. Else its versions can be had back with
                :meth:`aset_current_version`, and the next one that is saved has the next number.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: ``component_id`` cannot be an id.
            DatabaseError: it could not be deleted.
        """
        check_id("component_id", component_id)
        return await (await self.store()).components.delete(component_id, hard=hard_delete)

    async def adelete_config(
        self, component_id: str, version: int, hard_delete: bool = False
    ) -> bool:
        """Delete a version that is not the current one.

        Args:
            component_id: the component.
            version: its number.
            hard_delete: see :meth:`adelete_component`.

        Returns:
            Whether there was such a version.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be deleted.
        """
        check_id("component_id", component_id)
        number = check_count("version", version)
        components = (await self.store()).components
        return await components.delete(component_id, number, hard=hard_delete)


def check_text(name: str, value: object) -> str:
    """Return a text of people, for one row.

    Args:
        name: what it is, for the error.
        value: at most 10,000 characters.

    Raises:
        InvalidInputError: it is no text, or too long, or no database keeps it.
    """
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise InvalidInputError(f"{name} must be a text of at most {_LONGEST:,} characters.")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise InvalidInputError(f"{name} has a character that no database keeps.")
    return value


_LONGEST = 10_000


def _checked_type(value: str) -> ComponentType:
    if value not in TYPES:
        raise InvalidInputError(f"component_type must be 'agent' or 'team', not {value!r:.50}.")
    return cast("ComponentType", value)


def _checked_stage(value: str) -> Stage:
    if value not in STAGES:
        raise InvalidInputError(f"stage must be 'draft' or 'published', not {value!r:.50}.")
    return cast("Stage", value)
