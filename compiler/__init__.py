"""From trained networks to programs for the accelerator and the host."""
