"""Turning a request away before it reaches a version, in the shape OpenAI's clients expect."""

from vedette.gateway.openai import error_body


class TurnedAway(Exception):
    """The request reaches no version; ``fields`` are further header lines, each with its end of line."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        *,
        kind: str = "",
        fields: bytes = b"",
    ) -> None:
        super().__init__(message)
        kind = kind or ("invalid_request_error" if status < 500 else "server_error")
        self.status, self.body, self.fields = status, error_body(message, kind, code, param), fields
