"""A client of tdad, in nothing but the standard library: see Client."""
from .client import Client
from .errors import OutcomeUnknown, TdaError, Timeout, Unreachable
from .stream import Stream

__all__ = ["Client", "OutcomeUnknown", "Stream", "TdaError", "Timeout", "Unreachable"]
__version__ = "0.1.0"
