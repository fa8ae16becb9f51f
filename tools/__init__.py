"""Programs that make material for the project."""
