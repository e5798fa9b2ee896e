"""Memorisation: what a decoder gives away of the texts that it was trained on (docs/memorization.md)."""
