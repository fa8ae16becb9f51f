"""What happens under faults, load and other releases of the client."""
