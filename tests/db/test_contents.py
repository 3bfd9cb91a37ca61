"""What knowledge bases were loaded with, in each database."""

from kern.db.contents import Content, ContentStatus
from kern.db.database import Database


async def test_a_content_takes_its_own_place(shared_db: Database) -> None:
    contents = (await shared_db.store()).contents
    ferns = Content("b", "ferns.md", "/ferns.md", metadata={"kind": "plant", "year": 2026})
    await contents.put("garden", ferns)
    found = await contents.find("garden", "b")
    assert found is not None
    assert found._replace(created_at=None, updated_at=None) == ferns
    done = ferns._replace(status=ContentStatus.COMPLETED, size=7, chunks=2, run_id="r")
    await contents.put("garden", done)
    again = await contents.find("garden", "b")
    assert again is not None
    assert again._replace(created_at=None, updated_at=None) == done
    assert again.created_at == found.created_at
    assert again.updated_at is not None
    assert found.updated_at is not None
    assert again.updated_at >= found.updated_at


async def test_contents_are_listed_and_forgotten_by_their_knowledge(shared_db: Database) -> None:
    contents = (await shared_db.store()).contents
    for knowledge in ("garden", "house"):
        for each in "cab":
            await contents.put(knowledge, Content(each, each, each))
    assert [each.id for each in await contents.list("garden", 2)] == ["a", "b"]
    assert [each.id for each in await contents.list("garden", 2, "b")] == ["c"]
    assert await contents.find("garden", "d") is None
    assert await contents.delete("garden", "b") == 1
    assert await contents.delete("garden", "b") == 0
    assert await contents.delete("garden") == 2
    assert len(await contents.list("house", 9)) == 3
