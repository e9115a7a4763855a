"""Valleys that look alike, the story being true in one of them only, and what is measured on each (lesson 10)."""
