"""What the database knows of memories: search and count them, and erase all that is a user's."""

import asyncio

from kern.db.sqlite import SqliteDb
from kern.memory import UserMemory

db = SqliteDb("tmp/members.db")

KNOWN = {
    "ana": [("Sings alto.", ["voice"]), ("Is away in July.", ["time"])],
    "ben": [("Sings bass.", ["voice"])],
}

if __name__ == "__main__":
    for user, memories in KNOWN.items():
        for text, topics in memories:
            db.upsert_user_memory(UserMemory(text, topics=topics, user_id=user))
    print([each.memory for each in db.get_user_memories(search_content="sings")])
    print([each.memory for each in db.get_user_memories(user_id="ana", topics=["time"])])
    print(db.get_all_memory_topics(user_id="ana"))
    stats, users = db.get_user_memory_stats()
    print({each["user_id"]: each["total_memories"] for each in stats}, users)
    erased = asyncio.run(db.adelete_user("ana"))  # kern users erase ana
    print(erased.memories, [each.memory for each in db.get_user_memories()])
