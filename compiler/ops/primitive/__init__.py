"""The operators from which all others are made, and one table of scalar functions."""
