"""The papers' claims, and ours, measured: `python -m reproduction`, from the repository's root."""
