"""The whole experiment from one command."""
