"""Reports as text and JSON; hostile text is escaped here and nowhere else."""
