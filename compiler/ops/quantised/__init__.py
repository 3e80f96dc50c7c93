"""Operators on int8 activations, each one unit of the accelerator; and what converts at the border."""
