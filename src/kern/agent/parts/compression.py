"""How what the model of an agent is told is made smaller."""

from typing import TYPE_CHECKING

from kern.agent.checks import check_flag
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.keywords import shown

if TYPE_CHECKING:
    from kern.compression.compaction import Compaction
    from kern.compression.manager import CompressionManager
    from kern.compression.rules import Compacting, Compression, Shortening


class CompressionPart(Part):
    """How what the model is told is made smaller.

    Attributes:
        compress_tool_results: have long results of tools shortened by a model.
        compression_manager: by which model and when; it has them shortened, too.
        compaction: True to have the oldest messages of a long conversation summed up, or how.
    """

    compress_tool_results: bool = False
    compression_manager: "CompressionManager | None" = None
    compaction: "bool | Compaction" = False

    compression: "Compression | None" = None

    def _build(self) -> None:
        check_flag("compress_tool_results", self.compress_tool_results)
        self.__dict__["compression"] = None
        if self.compress_tool_results or self.compression_manager or self.compaction:
            from kern.compression.rules import Compression

            rules = Compression(self._shortening(), self._compacting())
            self.__dict__["compression"] = None if rules == Compression() else rules

    def _shortening(self) -> "Shortening | None":
        from kern.compression.manager import CompressionManager

        manager: object = self.compression_manager
        if manager is None:
            return CompressionManager().shortening() if self.compress_tool_results else None
        if not isinstance(manager, CompressionManager):
            raise ConfigurationError(
                f"compression_manager must be CompressionManager(...), not {shown(manager)}."
            )
        is_on = self.compress_tool_results or manager.compress_tool_results
        return manager.shortening() if is_on else None

    def _compacting(self) -> "Compacting | None":
        from kern.compression.compaction import Compaction

        how: object = self.compaction
        if how is False or how is None:
            return None
        if how is True:
            how = Compaction()
        if not isinstance(how, Compaction):
            raise ConfigurationError(
                f"compaction must be True or Compaction(...), not {how!r:.60}."
            )
        return how.compacting()
