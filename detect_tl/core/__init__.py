"""What every room shares: errors, geometry, the data model, findings, files and progress."""
