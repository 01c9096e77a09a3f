"""Names of addresses: the kernel's, those of programs and libraries, and those of compiled code.

All of it is read from files that the observed processes choose, by a helper that is root: nothing
in them is trusted, neither sizes nor offsets, and nothing but regular files is opened.
"""
