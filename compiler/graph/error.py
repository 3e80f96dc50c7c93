"""What can be wrong with a graph."""

from tilewright.numerics.error import TilewrightError


class GraphError(TilewrightError):
    """A graph, its text, its constants or its inputs, that do not fit together."""
