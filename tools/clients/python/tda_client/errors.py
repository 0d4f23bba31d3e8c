"""What a call can end with. Catch TdaError, and look at its kind; or one of the classes, where that is enough."""


class TdaError(Exception):
    """The daemon's answer: `kind` is a stable word, `field` the input at fault, `hint` what to do, `retry_ms` when it is worth trying again
    (None: not, or nobody knows), `code` JSON-RPC's (None: not the daemon's), `data` all that it said."""

    def __init__(self, message, kind, *, code=None, data=None, hint=None):
        super().__init__(message)
        self.message, self.kind, self.code, self.data = message, kind, code, data or {}
        self.field = self.data.get("field")
        self.hint = self.data.get("hint", hint)
        self.retry_ms = self.data.get("retry_ms")

    @classmethod
    def of(cls, error):
        """From JSON-RPC's error object."""
        data = error.get("data") or {}
        return cls(error.get("message", ""), data.get("kind", "error"), code=error.get("code"), data=data)

    def __str__(self):
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Unreachable(TdaError):
    """No daemon; or lost, and not back in time."""


class Timeout(TdaError):
    """No reply in time; the call may go on in the daemon."""


class OutcomeUnknown(TdaError):
    """The daemon was restarted before it replied; it was not asked again."""
