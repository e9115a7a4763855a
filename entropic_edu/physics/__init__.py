"""The experiment on any landscape, alone: no network, no picture, no file format but that of its own results."""
