"""From float graphs to integer graphs of fused operators."""
