"""Calls whose outcome is known without running them."""
