"""Load many files by a run: it survives this process, and embeds no batch again that it has kept.

Kill the script in the middle and start it again: `aload` with the same `run_id` is the same run. In
a fleet workers execute it: `kern worker load_in_background:loader`.
"""

import asyncio
from pathlib import Path

from kern.db.sqlite import SqliteDb
from kern.knowledge import Knowledge, KnowledgeProgress
from kern.vectordb.sqlite import SqliteVec

plants = Knowledge(
    name="plants",
    vector_db=SqliteVec("tmp/plants.db"),
    contents_db=SqliteDb("tmp/kern.db"),
)
loader = plants.loader()


async def main() -> None:
    """Load the folder, and watch."""
    folder = Path(__file__).parent / "plants"
    run = await plants.aload(path=folder, metadata={"kind": "plant"}, background=True)
    async for event in loader.astream_run(run.run_id):
        if isinstance(event, KnowledgeProgress):
            print(f"{event.done}/{event.total} {event.name}: {event.status}")
    done = await loader.await_run(run.run_id)
    print(f"{done.content.contents} loaded, {len(done.content.failed)} failed")
    for content in await plants.aget_content():
        print(content.name, content.status.value, content.chunks)


if __name__ == "__main__":
    asyncio.run(main())
