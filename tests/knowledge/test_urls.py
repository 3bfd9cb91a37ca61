"""Pages of the web, fetched past the guard."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from ports import free_port
from service import listening
from words_db import WordsDb

from kern.errors import ConfigurationError, ContentError
from kern.knowledge import Knowledge, fetching
from kern.webhooks import address
from kern.webhooks.address import Target

PAGE = """<html><head><title>On ferns</title><script>evil()</script></head><body>
<nav>Home</nav><main><h1>Ferns</h1><p>Ferns like <b>shade</b>.</p>
<table><tr><th>Plant</th><th>Light</th></tr><tr><td>Oak</td><td>much</td></tr></table>
</main></body></html>"""


async def page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def text(_: web.Request) -> web.Response:
    return web.Response(text="Moss likes rain.", content_type="text/plain")


async def table(_: web.Request) -> web.Response:
    return web.Response(
        text="plant\tlight\nFern\tlittle\n", content_type="text/tab-separated-values"
    )


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)
        await asyncio.sleep(0)


async def away(_: web.Request) -> web.Response:
    raise web.HTTPFound("/page")


async def round_and_round(_: web.Request) -> web.Response:
    raise web.HTTPFound("/round")


async def metadata(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://169.254.169.254/latest/meta-data")


async def nowhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://[bad"})


async def zipped(_: web.Request) -> web.Response:
    return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})


async def missing(_: web.Request) -> web.Response:
    raise web.HTTPNotFound


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv("KERN_KNOWLEDGE_ALLOW_PRIVATE", "1")
    app = web.Application()
    for name, answer in {
        "page": page,
        "notes/moss.txt": text,
        "table": table,
        "endless": endless,
        "away": away,
        "round": round_and_round,
        "metadata": metadata,
        "nowhere": nowhere,
        "zipped": zipped,
        "missing": missing,
    }.items():
        app.router.add_get(f"/{name}", answer)
    async with listening(app) as url:
        yield url


@pytest.fixture
def words() -> WordsDb:
    return WordsDb()


@pytest.fixture
def plants(words: WordsDb) -> Knowledge:
    return Knowledge("plants", vector_db=words, max_file_size=1_000_000)


async def test_a_page_becomes_markdown_that_says_where_it_is_from(
    plants: Knowledge, words: WordsDb, site: str
) -> None:
    loaded = await plants.ainsert(urls=[f"{site}/page", f"{site}/notes/moss.txt", f"{site}/away"])
    assert (loaded.contents, loaded.failed) == (3, {})
    found = (await plants.asearch("shade"))[0]
    assert found.content.startswith("# Ferns\n\nFerns like **shade**.\n\n| Plant | Light |")
    assert "evil" not in found.content
    assert "Home" not in found.content
    assert (await plants.asearch("moss"))[0].meta_data == {"url": f"{site}/notes/moss.txt"}
    assert (await plants.asearch("moss"))[0].name == "moss.txt"
    assert {each.meta_data.get("title") for each in words.documents.values()} == {"On ferns", None}


async def test_what_a_server_calls_it_says_how_it_is_read(
    plants: Knowledge, words: WordsDb, site: str
) -> None:
    await plants.ainsert(url=f"{site}/table")
    assert [each.content for each in words.documents.values()] == ["plant: Fern\nlight: little"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("endless", "more bytes, and 1,000,000 are read"),
        ("round", "leads on to more than 5"),
        ("nowhere", "leads on to a URL that is none"),
        ("zipped", "it is compressed"),
        ("missing", "it was answered with 404"),
    ],
)
async def test_what_a_server_should_not_answer_is_refused(
    plants: Knowledge, site: str, path: str, told: str
) -> None:
    with pytest.raises(ContentError, match=told):
        await plants.ainsert(url=f"{site}/{path}")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://user:secret@example.com/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "https://[bad",
    ],
)
async def test_no_url_leads_into_the_network(plants: Knowledge, words: WordsDb, url: str) -> None:
    with pytest.raises(ContentError):
        await plants.ainsert(url=url)
    assert words.documents == {}


async def test_an_answer_leads_nowhere_that_a_url_may_not(
    plants: Knowledge, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def resolve(target: Target, setting: str) -> list[str]:
        looked_up.append(target.host)
        if len(looked_up) == 2:  # The site itself may be asked, and nothing that it leads to.
            monkeypatch.delenv("KERN_KNOWLEDGE_ALLOW_PRIVATE")
        return await guard(target, setting)

    guard = address.resolve
    monkeypatch.setattr(fetching, "resolve", resolve)
    with pytest.raises(ContentError, match="KERN_KNOWLEDGE_ALLOW_PRIVATE=1"):
        await plants.ainsert(url=f"{site}/metadata")
    assert looked_up == ["127.0.0.1", "169.254.169.254"]


async def test_a_server_that_is_not_there_is_named(plants: Knowledge, site: str) -> None:
    with pytest.raises(ContentError, match="cannot be reached: ClientConnectorError"):
        await plants.ainsert(url=f"http://127.0.0.1:{free_port()}/x.md")


async def test_the_setting_is_0_or_1(plants: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_KNOWLEDGE_ALLOW_PRIVATE", "yes")
    with pytest.raises(ConfigurationError, match="must be 0 or 1"):
        await plants.ainsert(url="https://example.com/")
