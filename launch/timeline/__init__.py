"""Training dynamics: what the steps of a run found of each training sample, and which labels are probably wrong (docs/dynamics.md)."""
