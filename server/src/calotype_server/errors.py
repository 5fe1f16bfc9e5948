"""Errors that prevent the start: each message is one sentence for an operator."""


class ServerError(Exception):
    """The server cannot start."""


class ServerSettingsError(ServerError):
    """A setting is unknown or has a wrong value.

    `key` is the setting, and `reason` the message without its name.
    """

    def __init__(self, sentence: str, key: str = "", reason: str = ""):
        super().__init__(sentence)
        self.key = key
        self.reason = reason or sentence


class CannotListen(ServerError):
    """The server cannot listen on an address, which the message names."""
