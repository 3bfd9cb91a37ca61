"""Embedders behind OpenAI's protocol, against a double of the endpoint at the wire."""

import asyncio
import json
import math
import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from service import listening

from kern import models
from kern.embedders.openai import OpenAIEmbedder, OpenAILikeEmbedder
from kern.embedders.usage import counting
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.run.metrics import ModelMetrics


class Endpoint:
    """Embeds a text by its length and its first number."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.failures: list[web.Response] = []
        self.answer: Any = None
        self.at_once = self.most_at_once = 0
        self.together = 1
        self._came = asyncio.Event()

    async def embed(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.asked.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        if self.at_once == self.together:
            self._came.set()
        await asyncio.wait_for(self._came.wait(), 20)
        self.at_once -= 1
        if self.failures:
            return self.failures.pop(0)
        if self.answer is not None:
            return web.json_response(self.answer)
        found: list[dict[str, Any]] = []
        for index, text in enumerate(body["input"]):
            numbers = [float(len(text)), float("".join(filter(str.isdigit, text)) or 0), 1.5]
            given: Any = numbers
            if body.get("encoding_format") == "base64":
                given = b64encode(struct.pack("<3f", *numbers)).decode()
            found.insert(0, {"index": index, "embedding": given})  # The last one first.
        usage = {"prompt_tokens": 2 * len(found), "total_tokens": 2 * len(found)}
        return web.json_response({"data": found, "model": body["model"], "usage": usage})


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, str]]:
    endpoint, app = Endpoint(), web.Application()
    app.router.add_post("/v1/embeddings", endpoint.embed)
    async with listening(app) as url:
        yield endpoint, f"{url}/v1"


async def test_texts_are_embedded_in_order_and_counted(endpoint: tuple[Endpoint, str]) -> None:
    server, url = endpoint
    embedder = OpenAILikeEmbedder("mini", base_url=url, batch_size=10)
    assert embedder.dimensions is None
    server.together = 4
    used: list[ModelMetrics] = []
    with counting(used):
        found = await embedder.aembed([f"text {n}" for n in range(95)])
    assert [each[1] for each in found] == [float(n) for n in range(95)]
    assert [len(each["input"]) for each in server.asked] == [10] * 9 + [5]
    assert server.most_at_once == 4
    assert embedder.dimensions == 3
    assert sum(each.input_tokens for each in used) == 190
    assert {(each.id, each.provider) for each in used} == {("mini", "OpenAILike")}
    assert await embedder.aembed([]) == []


async def test_prefixes_say_what_is_kept_and_what_is_looked_for(
    endpoint: tuple[Endpoint, str],
) -> None:
    server, url = endpoint
    embedder = OpenAILikeEmbedder("e5", base_url=url, document_prefix="z", query_prefix="zz")
    await embedder.aembed(["text 1", ""])
    await embedder.aget_embedding("text 2")
    assert [each["input"] for each in server.asked] == [["ztext 1", "z"], ["zztext 2"]]


async def test_what_the_api_refuses_is_sent_otherwise(endpoint: tuple[Endpoint, str]) -> None:
    server, url = endpoint
    embedder = OpenAILikeEmbedder("mini", base_url=url)
    await embedder.aembed(["", "x" * 300_000 + "\ud800", "x" * 200_000])
    asked = sorted(server.asked, key=lambda each: len(each["input"]))
    assert [len(each["input"]) for each in asked] == [1, 2]
    assert asked[1]["input"][0] == " "


async def test_dimensions_and_more_are_sent(
    endpoint: tuple[Endpoint, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url = endpoint
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    embedder = OpenAIEmbedder(
        "text-embedding-3-large",
        dimensions=3,
        api_key="sk-hush-hush",
        request_params={"user": "ada", "extra_headers": {"X-Team": "green"}},
    )
    assert await embedder.aget_embedding("text 7") == [6.0, 7.0, 1.5]
    [body], [headers] = server.asked, server.headers
    assert body == {
        "model": "text-embedding-3-large",
        "dimensions": 3,
        "encoding_format": "base64",
        "user": "ada",
        "input": ["text 7"],
    }
    assert (headers["authorization"], headers["x-team"]) == ("Bearer sk-hush-hush", "green")


async def test_the_size_of_known_models_is_known() -> None:
    assert OpenAIEmbedder().dimensions == 1536
    assert await OpenAIEmbedder("text-embedding-3-large").aget_dimensions() == 3072


async def test_a_size_nobody_has_named_is_found_out(endpoint: tuple[Endpoint, str]) -> None:
    embedder = OpenAILikeEmbedder("mini", base_url=endpoint[1])
    assert await embedder.aget_dimensions() == 3
    assert len(endpoint[0].asked) == 1
    assert await embedder.aget_dimensions() == 3
    assert len(endpoint[0].asked) == 1


async def test_what_may_pass_is_tried_again(endpoint: tuple[Endpoint, str]) -> None:
    server, url = endpoint
    server.failures = [
        web.json_response(
            {"error": {"message": "Slower."}}, status=429, headers={"Retry-After": "0"}
        ),
        web.Response(status=503),
    ]
    embedder = OpenAILikeEmbedder("mini", base_url=url, delay_between_retries=0.01)
    assert len(await embedder.aembed(["text 1"])) == 1
    assert len(server.asked) == 3


async def test_what_will_not_pass_is_told_without_the_key(endpoint: tuple[Endpoint, str]) -> None:
    server, url = endpoint
    said = {"error": {"message": "No such key: sk-hush-hush."}}
    server.failures = [web.json_response(said, status=401)]
    embedder = OpenAILikeEmbedder("mini", base_url=url, api_key="sk-hush-hush", batch_size=1)
    with pytest.raises(ModelError, match="No such key") as told:
        await embedder.aembed(["text 1"])
    assert "sk-hush" not in str(told.value)
    server.failures = [web.json_response(said, status=400) for _ in range(9)]
    with pytest.raises(ModelError, match="No such key"):  # and no group of errors
        await embedder.aembed([f"text {n}" for n in range(9)])
    with pytest.raises(ModelError):
        await OpenAILikeEmbedder("m", base_url="http://127.0.0.1:9/v1", max_retries=0).aembed(["x"])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": "no"},
        {"data": []},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": "!"}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]},
        [1],
    ],
)
async def test_an_answer_that_is_none_is_an_error(
    endpoint: tuple[Endpoint, str], answer: Any
) -> None:
    endpoint[0].answer = answer
    embedder = OpenAILikeEmbedder("mini", base_url=endpoint[1], max_retries=0)
    with pytest.raises(ModelError, match="mini answered"):
        await embedder.aembed(["text 1"])


async def test_a_size_that_is_not_the_models_is_refused(endpoint: tuple[Endpoint, str]) -> None:
    embedder = OpenAILikeEmbedder("mini", base_url=endpoint[1], dimensions=4)
    with pytest.raises(ConfigurationError, match="dimensions=3"):
        await embedder.aembed(["text 1"])


async def test_another_server_is_not_given_the_key_of_openai(
    endpoint: tuple[Endpoint, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url = endpoint
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush-hush")
    await OpenAILikeEmbedder("mini", base_url=url).aembed(["text 1"])
    assert "sk-hush" not in str(server.headers)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        await OpenAIEmbedder().aembed(["text 1"])


async def test_no_provider_is_asked_where_none_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)
    with pytest.raises(ModelError, match="ALLOW_MODEL_REQUESTS"):
        await OpenAIEmbedder(api_key="x").aembed(["text 1"])


def test_what_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="needs the id"):
        OpenAILikeEmbedder(base_url="http://localhost/v1")
    with pytest.raises(ConfigurationError, match="dimensions"):
        OpenAIEmbedder(dimensions=0)
    with pytest.raises(ConfigurationError, match="batch_size"):
        OpenAIEmbedder(batch_size=0)
    with pytest.raises(TypeError, match="temperature"):
        OpenAIEmbedder(temperature=1)  # type: ignore[call-arg] # what is tried
    with pytest.raises(ConfigurationError, match="input"):
        OpenAIEmbedder(request_params={"input": "x"})


def test_it_serves_code_without_a_loop() -> None:
    from kern.testing import WordsEmbedder

    first, second = WordsEmbedder().embed(["heat pumps", "heat pumps"])
    assert first == second
    assert math.hypot(*first) == pytest.approx(1)
    assert math.hypot(*WordsEmbedder().get_embedding("")) == pytest.approx(1)
