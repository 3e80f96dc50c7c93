"""Passes over modules of the IR: each is a frozen dataclass with a pure `apply`."""
