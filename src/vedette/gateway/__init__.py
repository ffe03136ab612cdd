"""The data plane: an OpenAI-compatible proxy that assigns, calls, falls back and records, from traffic plans alone.

One event loop, callbacks on the request path. The control plane is never asked while a client waits: plans arrive by
`PlanFeed`, outcomes leave by `OutcomeSink`, both in the background, and both may be down for as long as they like.

What an outcome says (``at`` is when its answer ended; its id tells when it began):

- ``error`` is 1 when the *assigned* version failed: it could not be reached, hung up, timed out, answered 5xx, 429 or
  408, put an error event into a stream or ended it without ``[DONE]``. It is also 1 for 401, 403, 404 and 405, because
  key, path and model name sent to a backend are the gateway's, never the client's. It is 0 for the client's own 4xx
  (400, 413, 415, 422, …); those set ``rejected`` to 1, so that a version that turns good requests away can be seen.
- ``fallback`` is 1 when stable was asked instead. ``served`` then names stable; ``assigned`` and ``error`` stay.
- ``override_failed`` is 1 where a request could not be changed as an experiment's arm says, and was served as it came;
  0 where it was changed. The exposure stays, by intention to treat, and so does everything else above for a version an
  experiment serves: it fails, falls back to stable and is judged exactly as a canary.
- ``latency_ms`` runs from the last byte of the request to the end of the answer, ``ttft_ms`` to its first event.
- ``tokens_in`` and ``tokens_out`` are what the backend's ``usage`` says; without it they are absent, never estimated.
- A client that leaves has status ``client_closed`` and neither ``error`` (unless the version had failed before) nor
  ``latency_ms``: an answer cut short has no known latency. Tokens and ``ttft_ms`` seen so far stay, with ``partial`` 1.
"""
