"""The toolkit for thinking: it notes, and tells the model how to use it where that is asked for."""

from kern.tools.reasoning import EXAMPLES, INSTRUCTIONS, ReasoningTools


def test_a_thought_is_noted() -> None:
    tools = ReasoningTools()
    assert [*tools.functions] == ["think", "analyze"]
    assert tools.think("Which way", "Left is shorter.", confidence=0.9) == (
        "Title: Which way\nReasoning: Left is shorter.\nConfidence: 0.9"
    )
    noted = tools.analyze("Way", "Left was shorter", "Nothing is open.", "final_answer")
    assert "Next action: final_answer" in noted


def test_the_model_is_told_how_to_think_only_if_that_is_asked_for() -> None:
    assert not ReasoningTools().add_instructions
    assert ReasoningTools(add_instructions=True).instructions == INSTRUCTIONS
    assert ReasoningTools(add_few_shot=True).instructions == f"{INSTRUCTIONS}\n\n{EXAMPLES}"
    assert ReasoningTools(instructions="Think.", add_few_shot=True).instructions == "Think."
