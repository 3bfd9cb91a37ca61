"""Long results of tools are shortened by a small model; the run keeps them whole."""

from kern.agent import Agent
from kern.compression.manager import CompressionManager
from kern.models.openai import OpenAIResponses


def log_of(day: str) -> str:
    """Read the log of the weather station for a day."""
    return "\n".join(f"{day} {hour:02}:00 {11 + hour % 7} degrees, wind calm" for hour in range(24))


manager = CompressionManager(
    model=OpenAIResponses(id="gpt-5.4-nano"),
    compress_tool_results_limit=2,
)
observer = Agent(
    name="Observer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[log_of],
    compression_manager=manager,
)

if __name__ == "__main__":
    run = observer.run("Which was warmer, Monday or Tuesday?")
    for message in run.messages:
        if message.role == "tool":
            print(len(message.text), "characters, told as:", message.compressed_content)
    print(run.content)
    print(manager.stats)
