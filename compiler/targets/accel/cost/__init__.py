"""What a tiling of a convolution costs: the problem, the space of tilings, a bound, and the event model."""
