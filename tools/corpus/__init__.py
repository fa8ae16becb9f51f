"""Programs that write honest files with real libraries, for training."""
