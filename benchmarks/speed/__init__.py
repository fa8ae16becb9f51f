"""What scanning and guarding cost."""
