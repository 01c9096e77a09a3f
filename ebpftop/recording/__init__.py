"""Recordings: the stream in a file, written so that nothing is lost and read from any moment."""
