"""Networks as typed graphs of operators, with a text form and an interpreter."""
