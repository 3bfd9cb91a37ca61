"""Who an agent is, and where its runs are kept."""

from collections.abc import Mapping

from kern.agent.checks import check_db, check_flag, check_text
from kern.agent.parts.part import Part
from kern.agent.slug import slug
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.models.base import Model
from kern.models.utils import get_model
from kern.run.codec import check_id, check_user, encode


class IdentityPart(Part):
    """Who an agent is, and where its runs are kept.

    Attributes:
        name: what people call it; by default ``"Agent"``.
        model: who answers: a model, or a text such as ``"openai:gpt-5.4"``; by default
            ``OpenAIResponses()``.
        id: its identity across processes, compared character by character; by default the name in
            lower case (and Unicode's form NFC) with dashes between its words. Every process that
            uses an agent of this id on the same database shares its background runs.
        user_id: on whose behalf its runs are that do not say.
        session_id: the conversation of its runs that do not say; by default a new one each.
        db: where its sessions and runs are kept; background runs need one.
        metadata: JSON values that are kept with each of its runs, under those that the run gives.
        debug_mode: log what its runs do, at the level DEBUG; a run may say it, too.
        debug_level: 1, or 2 for more.
    """

    name: str = "Agent"
    model: Model
    id: str
    user_id: str | None = None
    session_id: str | None = None
    db: Database | None = None
    metadata: Mapping[str, object] | None = None
    debug_mode: bool = False
    debug_level: int = 1

    is_named: bool = False
    fixed_session_id: str | None = None

    def _build(self) -> None:
        check_text("name", self.name)
        given = self.__dict__
        given["model"] = get_model(given.get("model"))
        given["name"] = self.name or type(self).name
        given["id"] = check_id("The agent's id", given.get("id") or slug(self.name))
        check_db(self.db)
        check_user(self.user_id)
        fixed = given.get("session_id")
        given["fixed_session_id"] = None if fixed is None else check_id("session_id", fixed)
        if self.metadata is not None:
            if not isinstance(self.metadata, Mapping):
                raise ConfigurationError(f"metadata must be a dict, not {self.metadata!r:.80}.")
            encode(dict(self.metadata), "metadata")
        check_flag("debug_mode", self.debug_mode)
