"""Generated from ``kern/db/component_methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Mapping

from kern.aio.portal import finished
from kern.db.component_methods import ComponentMethods


class SyncComponentMethods(ComponentMethods):
    """The methods of :class:`ComponentMethods`, for code without an event loop."""

    def upsert_config(
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
        return finished(
            self.aupsert_config(component_id, config, version, label, stage, notes, component_type)
        )

    def get_config(
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
        return finished(self.aget_config(component_id, version, label))

    def list_configs(
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
        return finished(self.alist_configs(component_id, include_config))

    def list_components(
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
        return finished(self.alist_components(component_type, limit, page))

    def set_current_version(self, component_id: str, version: int) -> bool:
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
        return finished(self.aset_current_version(component_id, version))

    def delete_component(self, component_id: str, hard_delete: bool = False) -> bool:
        """Delete a component with all its versions.

        Args:
            component_id: the component.
            hard_delete: keep nothing of it. Else its versions can be had back with
                :meth:`set_current_version`, and the next one that is saved has the next number.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: ``component_id`` cannot be an id.
            DatabaseError: it could not be deleted.
        """
        return finished(self.adelete_component(component_id, hard_delete))

    def delete_config(self, component_id: str, version: int, hard_delete: bool = False) -> bool:
        """Delete a version that is not the current one.

        Args:
            component_id: the component.
            version: its number.
            hard_delete: see :meth:`delete_component`.

        Returns:
            Whether there was such a version.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be deleted.
        """
        return finished(self.adelete_config(component_id, version, hard_delete))
