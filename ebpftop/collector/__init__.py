"""The root side: compiles and loads the probes, reads their maps, writes the stream.

Runs under the Python that has the distribution's `bcc`, and uses nothing else but the standard
library and psutil.
"""
