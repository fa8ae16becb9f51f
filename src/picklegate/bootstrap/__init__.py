"""What ``picklegate run`` puts at the head of PYTHONPATH; its directory holds nothing else that can be imported."""
