"""How well the gate tells hostile files from honest ones."""
