"""What in a request does not fit its data, in words for the person who wrote it."""


class BadInputError(ValueError):
    """Names the field, the reason and the mend."""

    def __init__(self, field: str, reason: str, mend: str) -> None:
        super().__init__(f"{field}: {reason}; {mend}")
        self.field, self.reason, self.mend = field, reason, mend
