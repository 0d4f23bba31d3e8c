"""The neutral words of the cases: what a conversation is made of, what a vendor says, what it was asked.

Providers' modules translate between these and their vendor's wire, in the vendor's place."""
import dataclasses
from typing import NamedTuple, Optional


class Text(NamedTuple):
    text: str


class Image(NamedTuple):
    mime: str
    data: str  # base64


class Thinking(NamedTuple):
    text: str
    opaque: Optional[str] = None
    redacted: bool = False


class Call(NamedTuple):
    id: Optional[str]
    name: str
    args: dict
    opaque: Optional[str] = None


class Result(NamedTuple):
    id: Optional[str]
    name: Optional[str]
    text: str
    is_error: Optional[bool] = False


@dataclasses.dataclass
class Says:
    """An answer. usage counts as tda does: `input` with the cached tokens, `output` with the reasoning; None: the vendor says nothing."""
    parts: list
    stop: str = "end_turn"
    usage: Optional[dict] = dataclasses.field(default_factory=lambda: {"input": 11, "output": 7})
    id: str = "answer-1"


@dataclasses.dataclass
class Asked:
    """A request as the vendor understands it. A member that the reader does not know lands in `extra`; it must be empty unless asked for."""
    model: Optional[str]  # None: neither in path nor body
    stream: bool
    system: str = ""
    turns: list = dataclasses.field(default_factory=list)  # [role, [parts]], neighbours of one role merged
    tools: dict = dataclasses.field(default_factory=dict)  # name -> (description, schema)
    choice: str = "auto"
    sampling: dict = dataclasses.field(default_factory=dict)  # of max_tokens, temperature, top_p, stop, reasoning
    extra: dict = dataclasses.field(default_factory=dict)

    def add(self, role, parts):
        if self.turns and self.turns[-1][0] == role:
            self.turns[-1][1].extend(parts)
        else:
            self.turns.append([role, list(parts)])

    def parts(self, kind):
        return [p for _, parts in self.turns for p in parts if isinstance(p, kind)]


@dataclasses.dataclass
class Reply:
    """What goes over the wire. `ending`: "end" as HTTP wants, "cut" in the middle of the connection, "hang" until the test is over."""
    pieces: list
    status: int = 200
    type: str = "application/json"
    headers: dict = dataclasses.field(default_factory=dict)
    ending: str = "end"
    whole: bool = False  # with a content-length, else chunked

    @property
    def body(self):
        return b"".join(self.pieces)


@dataclasses.dataclass
class Refusal:
    """An error of the vendor's, and what tda must make of its code."""
    status: int
    code: str
    body: object  # bytes, or what becomes JSON
    headers: dict = dataclasses.field(default_factory=dict)
    type: str = "application/json"


class NotApplicable(Exception):
    """The reason stands in the matrix."""


def case(function):
    """Marks a case for the list in cases.py."""
    function.is_case = True
    return function
