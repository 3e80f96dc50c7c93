"""Python functions for irregular work: parsed into loop programs."""
