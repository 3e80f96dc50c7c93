"""Operators: one file each, with types, meaning, and the tensor expressions they become."""
