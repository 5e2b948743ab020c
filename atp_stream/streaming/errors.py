"""What ends a worker on purpose. Each says what was seen and what to do; the application maps it to an exit code.

A broker that restarts, a refused batch or a lost answer is none of these: the engine settles those by itself
(design section 5, "a commit's outcome is never guessed").
"""


class StreamingError(Exception):
    """A condition under which processing must not go on.

    `cause` says what was seen, `fix` what a person can do about it.
    """

    def __init__(self, message: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix


class ClusterUnreachable(StreamingError):
    """No broker answered before the deadline. Nothing was lost: start again when the cluster is back."""


class ClusterTooOld(StreamingError):
    """The brokers do not give topics an id (KIP-516): a topic created anew could not be told from the one before."""


class NotPermitted(StreamingError):
    """The cluster refuses what the application has to do (an ACL, a transaction timeout above the broker's limit)."""


class StateMismatch(StreamingError):
    """Offsets, changelog and local state do not belong together: going on would lose or repeat events.

    Raised when the watermark record of a changelog differs from the group's offset, when a source topic was
    recreated, when an offset is missing or out of range, or when the local state is ahead of its changelog.
    """


class DeadLetterFlood(StreamingError):
    """More bad input than the set rate: something upstream is broken, and a person has to look."""


class NoProgress(StreamingError):
    """The same records were tried again and again, and no transaction of them committed."""


class StateUnusable(StreamingError):
    """The local state cannot be read or written: a full or failing disk, or damaged files. All of it is in Kafka."""


class Superseded(Exception):
    """What was being done is of no use any more: another rebalance began, or the worker stops."""
