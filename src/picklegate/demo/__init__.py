"""A small Hub on loopback, and the tour through the gate that ``picklegate demo`` gives."""
