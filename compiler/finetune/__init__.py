"""Training that knows of integers: networks in floats, with what the quantiser will leave of them."""
