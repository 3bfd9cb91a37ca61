"""Personal data: what is found, what is not, and what a mask leaves."""

import re
import time

import pytest

from kern.errors import CheckTrigger, ConfigurationError, InputCheckError
from kern.guardrails import PIIDetectionGuardrail
from kern.run.agent import RunInput
from kern.run.content import ImagePart, TextPart, Url
from kern.run.message import Message

FOUND = {
    "My SSN is 123-45-6789": "SSN",
    "123 45 6789": "SSN",
    "4111111111111111.": "Credit Card",
    "card 4111-1111-1111-1111": "Credit Card",
    "amex 3782 822463 10005": "Credit Card",
    "with a slip: 4532 1234 5678 9012": "Credit Card",
    "ann@example.com": "Email",
    "a.b+c@sub.example.co.uk!": "Email",
    "jörg@müller.de": "Email",
    "call 555-123-4567": "Phone",
    "(555) 123-4567": "Phone",
    "+49 30 1234567": "Phone",
    "0049 30 1234567": "Phone",
    "+1-555-123-4567": "Phone",
}

HONEST = [
    "2024-01-02 03:04:05",
    "192.168.100.200",
    "version 1.2.3.4",
    "order 1234567890123",
    "order 1234 5678 1234 5678",
    "user@host",
    "ISBN 978-3-16-148410-0",
    "000-12-3456",
    "price 1,234,567.89",
    "550e8400-e29b-41d4-a716-446655440000",
    "3.14159265358979",
    "0000 0000 0000 0000",
    "",
]


@pytest.mark.parametrize("text", FOUND)
def test_personal_data_is_found_refused_and_not_told(text: str) -> None:
    guardrail = PIIDetectionGuardrail()
    assert guardrail.detect(text) == [FOUND[text]]
    with pytest.raises(InputCheckError) as refused:
        guardrail.check(RunInput(text))
    assert refused.value.check_trigger is CheckTrigger.PII_DETECTED
    assert refused.value.additional_data == {"detected_pii": [FOUND[text]]}
    assert not any(digits in str(refused.value) for digits in re.findall(r"\d{3,}|\w+@", text))


@pytest.mark.parametrize("text", HONEST)
def test_what_only_looks_so_passes(text: str) -> None:
    guardrail = PIIDetectionGuardrail(mask_pii=True)
    assert guardrail.detect(text) == []
    assert guardrail.mask(text) == text


@pytest.mark.parametrize("text", FOUND)
def test_what_is_masked_keeps_its_length_and_needs_no_mask_again(text: str) -> None:
    masked = PIIDetectionGuardrail(mask_pii=True).mask(text)
    assert len(masked) == len(text)
    assert PIIDetectionGuardrail().detect(masked) == []
    assert PIIDetectionGuardrail(mask_pii=True).mask(masked) == masked


def test_every_message_is_masked_and_media_stays() -> None:
    image = ImagePart(Url("https://example.com/a.png"))
    run_input = RunInput(
        [Message("user", "ann@example.com"), Message("user", (TextPart("bob@example.com"), image))]
    )
    PIIDetectionGuardrail(mask_pii=True).check(run_input)
    first, second = run_input.input_content
    assert first.text == second.text == "*" * 15
    assert second.parts[1] == image


def test_kinds_can_be_left_out_and_added() -> None:
    badge = PIIDetectionGuardrail(
        enable_email_check=False,
        enable_phone_check=False,
        enable_ssn_check=False,
        enable_credit_card_check=False,
        custom_patterns={"Badge": re.compile(r"B-[0-9]{4}"), "Room": r"room [0-9]+"},
    )
    assert badge.detect("ann@example.com, +49 30 1234567, 123-45-6789, B-1234, room 7") == [
        "Badge",
        "Room",
    ]


@pytest.mark.parametrize(
    "patterns", [{"x": "("}, {"x": ""}, {"x": "a*"}, {"x": 5}, {5: "x"}, {"x": re.compile(b"x")}]
)
def test_a_pattern_that_is_none_is_refused(patterns: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="custom_patterns"):
        PIIDetectionGuardrail(custom_patterns=patterns)


@pytest.mark.parametrize("piece", ["1 ", "1-", "a", "a@", "a.", "(1", "+1 ", "@", "a@a."])
def test_a_hostile_text_takes_no_longer_than_it_is_long(piece: str) -> None:
    guardrail, began = PIIDetectionGuardrail(mask_pii=True), time.process_time()
    guardrail.mask(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 5
