"""NeRM: human motion as a continuous function of time, learned at native frame rates and generated at any."""

__version__ = "0.1.0"
