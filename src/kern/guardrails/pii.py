"""Personal data in texts: found, refused, or masked."""

import re
from collections.abc import Callable, Iterator, Mapping

from typing_extensions import override

from kern.errors import CheckTrigger, ConfigurationError, InputCheckError
from kern.guardrails.base import BaseGuardrail, is_long
from kern.run.given import RunInput, texts_in, with_texts


class PIIDetectionGuardrail(BaseGuardrail):
    """Refuses or masks personal data: social security numbers, cards, e-mails, phone numbers.

    A number counts as a card's where its check digit is right, or where it is written like one: in
    four groups of four, from 3, 4, 5 or 6 on. An error names kinds of data, never the data. In
    ``pre_hooks``, ``mask_pii`` masks what a run is given before it is stored.

    Example:
        >>> guardrail = PIIDetectionGuardrail(mask_pii=True)
        >>> guardrail.detect("Card 4111 1111 1111 1111, order 1234 5678 1234 5678")
        ['Credit Card']
        >>> guardrail.mask("Write to ann@example.com.")
        'Write to ***************.'
    """

    def __init__(
        self,
        mask_pii: bool = False,
        enable_ssn_check: bool = True,
        enable_credit_card_check: bool = True,
        enable_email_check: bool = True,
        enable_phone_check: bool = True,
        custom_patterns: Mapping[str, re.Pattern[str] | str] | None = None,
    ) -> None:
        """Say what to look for.

        Args:
            mask_pii: put a star in the place of each character, instead of refusing the text.
            enable_ssn_check: look for social security numbers of the USA.
            enable_credit_card_check: look for numbers of credit cards.
            enable_email_check: look for e-mail addresses.
            enable_phone_check: look for phone numbers.
            custom_patterns: more to look for: regular expressions by what errors call the data.

        Raises:
            ConfigurationError: a pattern is none, or finds the empty text.
        """
        self.mask_pii = mask_pii
        enabled = {
            "SSN": enable_ssn_check,
            "Credit Card": enable_credit_card_check,
            "Email": enable_email_check,
            "Phone": enable_phone_check,
        }
        self.patterns = {name: _PATTERNS[name] for name, is_on in enabled.items() if is_on}
        for name, pattern in (custom_patterns or {}).items():
            self.patterns[name] = _compiled(name, pattern)

    def detect(self, text: str) -> list[str]:
        """Return the kinds of data that a text holds."""
        return [name for name in self.patterns if any(True for _ in self._spans(name, text))]

    def mask(self, text: str) -> str:
        """Return a text with stars in place of what was found."""
        characters: list[str] | None = None
        for name in self.patterns:
            for begin, end in self._spans(name, text):
                characters = list(text) if characters is None else characters
                characters[begin:end] = "*" * (end - begin)
        return text if characters is None else "".join(characters)

    @override
    def check(self, run_input: RunInput) -> None:
        """Refuse a text that holds personal data, or mask that; see :class:`BaseGuardrail`.

        Raises:
            InputCheckError: it does; the trigger is ``PII_DETECTED``, and ``additional_data`` names
                the kinds as ``"detected_pii"``.
        """
        if self.mask_pii:
            run_input.input_content = with_texts(run_input.input_content, self.mask)
        else:
            self._refuse("\n".join(texts_in(run_input.input_content)))

    @override
    async def async_check(self, run_input: RunInput) -> None:
        if is_long(run_input):
            await super().async_check(run_input)
        else:
            self.check(run_input)

    @override
    def at_submit(self, text: str) -> str:
        return self.mask(text) if self.mask_pii else text

    def _refuse(self, text: str) -> None:
        if found := self.detect(text):
            raise InputCheckError(
                f"The text holds personal data: {', '.join(found)}. Take it out, and try again.",
                CheckTrigger.PII_DETECTED,
                {"detected_pii": found},
            )

    def _spans(self, name: str, text: str) -> Iterator[tuple[int, int]]:
        is_one = _CHECKS.get(name) if self.patterns[name] is _PATTERNS.get(name) else None
        for match in self.patterns[name].finditer(text):
            if is_one is None or is_one(match[0]):
                yield match.span()


def _is_card(text: str) -> bool:
    """Say whether the check digit of a card's number is right (Luhn), or the number looks so."""
    if _GROUPED.fullmatch(text):  # With a slip of the pen it is still to be kept secret.
        return True
    digits = [int(each) for each in reversed(text) if each.isdigit()]
    doubled = [2 * each - 9 * (each > 4) for each in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_phone(text: str) -> bool:
    return 9 <= sum(each.isdigit() for each in text) <= 15


def _compiled(name: object, pattern: object) -> re.Pattern[str]:
    try:
        made = re.compile(pattern) if isinstance(pattern, str) else pattern
    except re.error as error:
        raise ConfigurationError(f"custom_patterns: {name!r} is no pattern: {error}") from error
    if not isinstance(name, str) or not isinstance(made, re.Pattern):
        raise ConfigurationError(
            'custom_patterns must be a dict such as {"Badge": re.compile(r"B-[0-9]{6}")}, not with '
            f"{name!r:.50}: {pattern!r:.50}."
        )
    if not isinstance(made.pattern, str) or made.match(""):
        raise ConfigurationError(
            f"custom_patterns: {name!r} must find texts, and not the empty one."
        )
    return made


_PATTERNS = {
    # Without the numbers that are never given out.
    "SSN": re.compile(
        r"(?<![0-9A-Za-z-])(?!000|666|9[0-9]{2})[0-9]{3}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}"
        r"(?![0-9A-Za-z]|-[0-9])"
    ),
    "Credit Card": re.compile(
        r"(?<![0-9A-Za-z.-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z]|-[0-9])"
    ),
    "Email": re.compile(
        r"(?<![\w.%+-])[\w%+-][\w.%+-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}(?!\w)"
    ),
    # With a country code, or in three groups as in North America.
    "Phone": re.compile(
        r"(?<![\w.+-])(?:(?:\+|00)[1-9][0-9]{0,2}[ .-]?(?:\(?[0-9]{1,5}\)?[ .-]?){1,6}[0-9]"
        r"|(?:1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4})(?![\w]|[.-][0-9])"
    ),
}

_GROUPED = re.compile(r"[3-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}")

_CHECKS: dict[str, Callable[[str], bool]] = {"Credit Card": _is_card, "Phone": _is_phone}
