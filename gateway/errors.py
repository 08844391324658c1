"""The errors that the product answers, as opposed to the ones that are our own mistakes.

What a peer, a client or an operator did wrong is one of these and gets a clear answer; a mistake of
ours is an assert and stays loud. Knows nothing of the floors above.
"""


class ProtocolError(Exception):
    """A client broke MQTT. `reason` is the MQTT 5.0 reason code (section 2.4) and is the error.

    The caller must answer with that reason where the version has words for it, and close.
    """

    def __init__(self, reason: int, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class LinkError(Exception):
    """A peer broke the link protocol or may not be linked with; the link must be closed.

    `code` is one of the refusal words in `gateway/mesh/frames.py`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
