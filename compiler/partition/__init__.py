"""Functions split between targets by what the targets declare."""
