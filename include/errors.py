"""What can't get better by trying again. The tasks turn it into a failure without retries."""


class DataError(ValueError):
    """The input can't be used: names the file, the column, the value and the cure."""


class ConfigurationError(ValueError):
    """`include/config.py`, a connection or a run's parameters can't be used: names the setting and the cure."""
