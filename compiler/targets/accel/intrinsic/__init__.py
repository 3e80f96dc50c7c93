"""Intrinsics: for each instruction the loop nest that it computes, and how its fields follow from one."""
