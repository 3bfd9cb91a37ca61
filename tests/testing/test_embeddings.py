"""Embeddings of the server for tests."""

from kern.embedders.openai import OpenAIEmbedder
from kern.testing import ProtocolServer, WordsEmbedder


async def test_texts_are_embedded_by_their_words() -> None:
    texts = ["warm heat", "heat pumps", ""]
    async with ProtocolServer() as server:
        options = {"base_url": server.base_url, "api_key": "none"}
        for size in (None, 64):
            embedder = OpenAIEmbedder(dimensions=size, **options)  # type: ignore[arg-type]
            found = await embedder.aembed(texts)
            expected = await WordsEmbedder(size or 1536).aembed([*texts[:2], " "])
            near = [
                abs(one - other) < 1e-6
                for row, wanted in zip(found, expected, strict=True)
                for one, other in zip(row, wanted, strict=True)
            ]
            assert all(near)
            await embedder.aclose()
        assert [each.path for each in server.lookups] == ["/v1/embeddings"] * 2
