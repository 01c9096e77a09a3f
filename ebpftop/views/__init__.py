"""What to draw, as plain values: the standard library and the records, and no terminal."""
