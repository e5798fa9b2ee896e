"""Scaling studies: cells of a study run under mpirun or Slurm, measured, and told as a report (docs/studies.md)."""
