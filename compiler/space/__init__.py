"""What may vary: knobs, points, and the spaces that they span."""
