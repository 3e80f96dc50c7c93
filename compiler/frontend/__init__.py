"""Model files of other tools, read into functions of the IR."""
