"""The commands of ``%image``."""
