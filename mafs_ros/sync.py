"""The synchronisers behind one interface: frames in, pairs out."""

from __future__ import annotations

from collections import Counter
import importlib
from types import SimpleNamespace
from typing import Any, Protocol

from builtin_interfaces.msg import Time
from mafs_model.errors import ConfigError
from mafs_model.pairing.nearest import NearestPairer, Pair, Stamped
from mafs_model.streams import NS_PER_S, STREAMS


class Synchronizer(Protocol):
    """What the node needs of a pairing policy, as `NearestPairer` has it; one caller at a time."""

    def add_frame(self, stream: str, stamp_ns: int, payload: Any) -> list[Pair]:
        """Add a frame of 'visible' or 'thermal'; return the pairs that became certain."""

    def settle(self) -> list[Pair]:
        """Return pairs that still wait for certainty, when both streams have gone silent."""

    def reset(self) -> None:
        """Forget all waiting frames and stamps."""

    def queued(self, stream: str) -> int:
        """Return how many frames of a stream wait for a partner."""

    def dropped(self) -> dict[str, int]:
        """Return how many frames left without partner, by reason, since construction."""

    def restarts(self) -> int:
        """Return how often stamps jumped back, since construction."""


class MessageFilterSynchronizer:
    """
    The synchronisers of message_filters.

    They differ from our own pairing in ways that matter here: a full queue evicts the oldest
    stamps, so that after a jump back in time the fresh frames would be thrown away, hence a jump
    rebuilds them; their callback runs under a lock that stays held if it raises, hence it only
    stores the pair.

    Args:
        policy: 'approximate' or 'exact'.
        slop_ns: largest offset of a pair; not used by 'exact'.
        queue_size: frames of each stream that wait.
        jump_back_ns: step back in time that restarts the pairing.
        module: the package `message_filters`, exchangeable for tests.

    """

    def __init__(
        self, policy: str, slop_ns: int, queue_size: int, jump_back_ns: int, module: Any
    ) -> None:
        self._policy = policy
        self._slop_s = slop_ns / NS_PER_S
        self._queue_size = queue_size
        self._jump_back_ns = jump_back_ns
        self._module = module
        self._drops: Counter[str] = Counter()
        self._jumps = 0
        self._pairs: list[Pair] = []
        self._build()

    def _build(self) -> None:
        """Make empty filters and a synchroniser that listens to them."""
        self._filters = {stream: self._module.SimpleFilter() for stream in STREAMS}
        sources = list(self._filters.values())
        if self._policy == 'exact':
            self._synchronizer = self._module.TimeSynchronizer(sources, self._queue_size)
        else:
            self._synchronizer = self._module.ApproximateTimeSynchronizer(
                sources, self._queue_size, self._slop_s
            )
        self._synchronizer.registerCallback(self._on_pair)
        self._newest: dict[str, int] = {}
        self._waiting = dict.fromkeys(STREAMS, 0)

    def _on_pair(self, visible: Any, thermal: Any) -> None:
        """Store a pair; called by message_filters with its lock held."""
        self._pairs.append(
            Pair(
                visible.stamped,
                thermal.stamped,
                thermal.stamped.stamp_ns - visible.stamped.stamp_ns,
            )
        )

    def add_frame(self, stream: str, stamp_ns: int, payload: Any) -> list[Pair]:
        """Add a frame; return the pairs that became certain."""
        newest = self._newest.get(stream)
        if newest is not None and stamp_ns < newest - self._jump_back_ns:
            self._restart('clock_jump')
            self._jumps += 1
        self._newest[stream] = max(stamp_ns, self._newest.get(stream, stamp_ns))
        stamp = Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)
        self._waiting[stream] += 1
        self._filters[stream].signalMessage(
            SimpleNamespace(
                header=SimpleNamespace(stamp=stamp), stamped=Stamped(stamp_ns, payload)
            )
        )
        pairs, self._pairs = self._pairs, []
        for name in STREAMS:
            self._waiting[name] -= len(pairs)
            evicted = self._waiting[name] - self._queue_size
            if evicted > 0:
                self._waiting[name] -= evicted
                self._drops['no_partner'] += evicted
        return pairs

    def settle(self) -> list[Pair]:
        """Return nothing: message_filters holds no pair back."""
        return []

    def reset(self) -> None:
        """Forget all waiting frames and stamps."""
        self._restart('flushed')

    def _restart(self, reason: str) -> None:
        self._drops[reason] += sum(self._waiting.values())
        self._build()

    def queued(self, stream: str) -> int:
        """Return how many frames of a stream wait for a partner."""
        return self._waiting[stream]

    def dropped(self) -> dict[str, int]:
        """Return how many frames left without partner, by reason."""
        return {reason: count for reason, count in sorted(self._drops.items()) if count}

    def restarts(self) -> int:
        """Return how often stamps jumped back."""
        return self._jumps


def load_message_filters() -> Any:
    """
    Return the package message_filters.

    Raises:
        ConfigError: it is not installed.

    """
    try:
        return importlib.import_module('message_filters')
    except ImportError as error:
        raise ConfigError(
            "sync.policy: got 'approximate' or 'exact', expected 'nearest' because the package "
            f'message_filters is not installed ({error}); install '
            'ros-$ROS_DISTRO-message-filters or use nearest'
        ) from None


def create_synchronizer(
    policy: str, slop_s: float, queue_size: int, jump_back_s: float
) -> Synchronizer:
    """
    Return the synchroniser of a policy.

    Args:
        policy: 'nearest', 'approximate' or 'exact'.
        slop_s: largest offset of a pair.
        queue_size: frames of each stream that wait.
        jump_back_s: step back in time that restarts the pairing.

    Raises:
        ConfigError: the policy needs a package that is not installed.

    """
    slop_ns, jump_back_ns = round(slop_s * NS_PER_S), round(jump_back_s * NS_PER_S)
    if policy == 'nearest':
        return NearestPairer(slop_ns, queue_size, jump_back_ns=jump_back_ns)
    return MessageFilterSynchronizer(
        policy, slop_ns, queue_size, jump_back_ns, load_message_filters()
    )
