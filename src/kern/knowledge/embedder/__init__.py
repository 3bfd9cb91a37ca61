"""The paths that users know for embedders; see :mod:`kern.embedders`."""
