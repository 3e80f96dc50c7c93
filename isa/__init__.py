"""The contract: what is said, what it means and how long it takes."""
