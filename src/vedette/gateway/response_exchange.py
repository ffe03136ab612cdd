"""One request of the Responses API on its way: its backend may say 200, and in the answer that the response failed."""

from vedette.gateway.exchange import Exchange
from vedette.gateway.responses import says_failed
from vedette.gateway.upstream import Headers


class ResponseExchange(Exchange):
    """An exchange that reads whole answers for how they ended; of every other path's the status is all there is."""

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Take an answer that came at once, unless it failed."""
        return not says_failed(self._ask, status, body) and super().whole(status, headers, body)

    def done(self) -> None:
        """Take the end of the answer; a response that failed counts as its stream's last event would."""
        if self._events is not None or not says_failed(self._ask, self._status, b"".join(self._body)):
            super().done()
            return
        self._note(good=False)
        if self._memo is not None:
            self._memo.forget()
        self._recover(self._backend_answer(), retryable=False)
