"""An agent that adds to its knowledge what is worth to be found later."""

from kern.agent import Agent
from kern.knowledge import Knowledge
from kern.models.openai import OpenAIResponses
from kern.vectordb.sqlite import SqliteVec

notes = Knowledge("notes", vector_db=SqliteVec("tmp/notes.db"))

assistant = Agent(
    name="Assistant",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge=notes,
    update_knowledge=True,
    instructions="Add what the user tells you about the house to your knowledge.",
)

if __name__ == "__main__":
    print(assistant.run("The fuse box is behind the mirror in the hall.", user_id="ada").content)
    print(assistant.run("Where is the fuse box?", user_id="bob").content)
    for document in notes.search("fuse box", filters={"user_id": "ada"}):
        print(document.meta_data, document.content.splitlines()[-1])
