"""The host: loop programs as machine code, called from numpy or linked into other programs."""
