"""Loop programs: expressions, statements, printer, verifier, interpreter."""
