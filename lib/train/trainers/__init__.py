"""The loop, what it logs, and what it saves."""
