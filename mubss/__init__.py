"""µBSS: a convergent business support and online charging system."""

__version__ = "0.1.0"
