"""The machine in gates, one file per unit."""
