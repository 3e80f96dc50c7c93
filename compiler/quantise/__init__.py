"""Quantises functions of floats to functions of integers in fused operators."""
