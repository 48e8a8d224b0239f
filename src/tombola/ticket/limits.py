"""How much a file may ask for before it is believed: a few bytes could demand any amount of memory."""

MAX_WEIGHTS = 1 << 31
MAX_METADATA = 1 << 20
