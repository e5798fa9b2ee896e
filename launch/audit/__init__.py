"""The data audit (docs/audit.md): launch/text reads the rows and hands them over in batches."""
