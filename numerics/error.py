"""The root of the errors that input can cause."""


class TilewrightError(ValueError):
    """Input that cannot be used: its text is one clear line that says what must change."""
