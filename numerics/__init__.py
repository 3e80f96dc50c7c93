"""The arithmetic that every device shares: requantisation, rounding, saturation, in plain numpy."""
