"""The cost of tilings of a convolution: the problem, the space of tilings, a bound, and the event model."""
