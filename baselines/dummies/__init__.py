"""Two systems that know nothing of motion, for tests and as the worst systems of a table."""

from baselines.base import System

ENTRIES = [
    System("noise", "A pose with white noise of 3 cm", loads="baselines.dummies.system:load_noise"),
    System("freeze", "A pose that stands still", loads="baselines.dummies.system:load_freeze"),
]
