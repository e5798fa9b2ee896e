"""Bias of a model: what changes when words of one group take the place of another's, which of two paired sentences is likelier, and what
groups of a data set get; before and after tuning (docs/bias.md)."""
