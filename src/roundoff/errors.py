"""The error a user is meant to read: what is wrong, where, and what to do."""


class RoundoffError(Exception):
    """Bad input or a failed precondition, told in one or two sentences.

    Command-line scripts print it without a traceback and exit with status 2.
    """
