"""Who answers where a model fails: others in turn, or by the kind of error."""

from kern.agent import Agent, FallbackConfig
from kern.models.openai import OpenAIChat, OpenAIResponses


def told(primary: str, fallback: str, error: Exception) -> None:
    """Take note; called whenever another model is asked."""
    print(f"{primary} -> {fallback}: {type(error).__name__}")


in_turn = Agent(
    name="In turn",
    model=OpenAIResponses(id="gpt-5.4", max_retries=0),
    fallback_models=["openai:gpt-5.4-mini", "anthropic:claude-sonnet-5-5"],
)

by_kind = Agent(
    name="By kind",
    model=OpenAIResponses(id="gpt-5.4", max_retries=0),
    fallback_config=FallbackConfig(
        on_rate_limit=[OpenAIChat(id="gpt-5.4-nano")],
        on_error=[OpenAIResponses(id="gpt-5.4-mini")],
        callback=told,
    ),
)

if __name__ == "__main__":
    run = in_turn.run("Which bird is that?")
    print(run.model, run.content)
    for question in ("And that?", "And the small one?"):
        run = by_kind.run(question)
        print(run.model, run.content)
