"""Texts of a run that are too long for its page, whole and plain; and its messages."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from kern.db.base import Store
from kern.errors import JournalError
from kern.operations.listed import error_of, output_of
from kern.run.content import Blob, Content, FilePart, text_of
from kern.run.entry import read_row
from kern.run.message import Message
from kern.run.printable import visible
from kern.run.record import JournalRow
from kern.run.steps import ModelAnswered, SecondaryAnswered, StepEnded, ToolEnded
from kern.server.problems import RequestError
from kern.server.ui.rendering import page
from kern.server.ui.route import pages_router
from kern.server.ui.run import given_text, place_in
from kern.server.ui.viewing import Viewing

router = pages_router()

# How many messages are on a page.
_MESSAGES = 50
