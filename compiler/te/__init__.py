"""Tensor expressions: what is computed, apart from how."""
