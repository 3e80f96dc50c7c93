"""Intrinsics: for each instruction the nest of loops that it does, and how its fields follow from one."""
