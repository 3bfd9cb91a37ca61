"""Show a model an image and a file: by address, by path, as bytes."""

from pathlib import Path

from kern.agent import Agent
from kern.media import File, Image
from kern.models.openai import OpenAIResponses

surveyor = Agent(name="Surveyor", model=OpenAIResponses(id="gpt-5.4-mini"))

if __name__ == "__main__":
    Path("tmp").mkdir(exist_ok=True)
    Path("tmp/heights.csv").write_text("place,metres\nsaddle,1740\nhut,1525\n")
    run = surveyor.run(
        "Which of these places are on the map?",
        images=[Image(url="https://example.com/map.png", detail="low")],
        files=[
            File(filepath="tmp/heights.csv"),
            File(content=b"The bridge is closed.", mime_type="text/plain", filename="note.txt"),
        ],
    )
    print(run.content)
