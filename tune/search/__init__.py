"""Searches: each proposes points and learns from their outcomes, by one protocol."""
