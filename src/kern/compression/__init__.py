"""How what a model is told is made smaller: long results of tools, and long conversations."""

from kern.compression.compaction import Compaction
from kern.compression.manager import CompressionManager

__all__ = ["Compaction", "CompressionManager"]
