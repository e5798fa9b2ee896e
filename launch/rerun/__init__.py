"""Steps of a run, computed once more: what `trireme replay` and `trireme diverge` share."""
