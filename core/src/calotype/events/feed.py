"""The feed of events for the listeners and waiters of one process.

Each process reads the outbox once for all of them, so they see the events of all processes and nodes. The
rights of each listener are checked when an event is passed on: see `calotype.model.policy`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.events.outbox import OutboxReader
from calotype.model import policy
from calotype.model.events import Event, EventKind, Progress
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.states import Status, can_become

log = logging.getLogger(__name__)

#: Seconds between two reads of the outbox. Nothing is read while nobody listens.
INTERVAL = 0.25
#: Seconds between two reads of the progress of transfers.
_PROGRESS_INTERVAL = 1.0
#: Maximum number of events that wait for a listener. Then its stream ends, and it can resume.
_WAITING_MAX = 1000
#: Number of listeners that are woken at once, and seconds before the next ones are. An event for many
#: listeners takes processor time, and in between, other requests get their turns.
_AT_ONCE, _BREATH = 20, 0.01
#: Number of past events that are read at once.
_PAGE = 500


class TooManyOfCaller(Exception):
    """The caller has as many listeners and waiters in this process as it may have."""

    def __init__(self, most: int):
        super().__init__(
            f"You have {most} requests that wait for events, which is the maximum: end one of them first."
        )


class TooManyListeners(Exception):
    """This process has as many listeners and waiters as it may have."""

    retry_after = 10

    def __init__(self) -> None:
        super().__init__("Too many requests wait for events at the moment: try again later.")


@dataclass(frozen=True, slots=True)
class News:
    """An event for a listener. After it, a listener that comes back resumes from `position`.

    `number` is the event's number. Both are None for progress.
    """

    event: Event | Progress
    position: int | None = None
    number: int | None = None

    @classmethod
    def of(cls, event: Event, position: int) -> News:
        """Return the news of an event, for a reader that has read everything up to `position`."""
        return cls(event, min(event.number, position), event.number)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a listener or waiter wants: the events that `caller` may see, of one image or of all images.

    `counts_as` is the caller for the limits, and `most` is the limit of the whole process. Only a listener
    gets the `progress` of transfers. A waiter has the status `wanted`, and gets only the events that may end
    its wait.
    """

    caller: Caller
    counts_as: str
    most: int
    image_id: str | None = None
    progress: bool = False
    wanted: Status | None = None

    def includes(self, event: Event | Progress) -> bool:
        """Return whether this is one of the events that are wanted, if the caller may see it."""
        if self.image_id not in (None, event.image_id):
            return False
        if self.wanted is None or isinstance(event, Progress):
            return True
        is_over = event.status is self.wanted or not can_become(event.status, self.wanted)
        return is_over or event.kind is EventKind.FAILED


@dataclass(eq=False)
class Subscription:
    """A listener or waiter. `wake` is called when there are news, and at the time `due`.

    Every event up to `position` had been passed on before the subscription began, and `newest` is the number
    of the newest event at that time.
    """

    ask: Ask
    wake: Callable[[], object]
    position: int
    newest: int
    #: The time.monotonic() at which `wake` is called in any case.
    due: float
    #: True once events were lost, because the listener did not take them. Its stream must end.
    is_overrun: bool = False
    _news: deque[News] = field(default_factory=deque)

    def put(self, news: Collection[News]) -> None:
        """Add news. The feed calls this."""
        if len(self._news) + len(news) > _WAITING_MAX:
            self.is_overrun = True
        else:
            self._news.extend(news)
        self.wake()

    def take(self) -> list[News]:
        """Remove and return the news."""
        return [self._news.popleft() for _ in range(len(self._news))]


class Feed:
    """The listeners and waiters of this process. All threads share an instance."""

    def __init__(self, database: Database, most_of_caller: int):
        #: Every event up to this number has been passed on to all listeners.
        self.position = 0
        self._database = database
        self._most_of_caller = most_of_caller
        self._reader = OutboxReader(database.events)
        self._subscriptions: set[Subscription] = set()
        self._callers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_failing = False
        #: Events that were read, but not passed on, because the database failed in between.
        self._unsent: list[Event] = []
        #: The bytes that each transfer had moved when its progress was last passed on, by key.
        self._moved: dict[str, int] = {}
        self._next_progress = 0.0

    @property
    def size(self) -> int:
        """The number of listeners and waiters."""
        return len(self._subscriptions)

    def subscribe(self, ask: Ask, wake: Callable[[], object], due: float) -> Subscription:
        """Begin to pass events on, and return the subscription, which `end` ends.

        Raises:
            TooManyOfCaller, TooManyListeners: a limit is reached.
            DatabaseUnavailable: the outbox cannot be read.
        """
        with self._lock:
            if len(self._subscriptions) >= ask.most:
                raise TooManyListeners
            if self._callers[ask.counts_as] >= self._most_of_caller:
                raise TooManyOfCaller(self._most_of_caller)
            if not self._subscriptions:
                self._reader.start()
                self._unsent = []
                self.position = self._reader.position
            newest = self._database.events.kept().newest
            subscription = Subscription(ask, wake, self.position, newest, due)
            self._subscriptions.add(subscription)
            self._callers[ask.counts_as] += 1
        return subscription

    def end(self, subscription: Subscription) -> None:
        """End a subscription. A second call does nothing."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.discard(subscription)
                self._callers[subscription.ask.counts_as] -= 1
                self._callers += Counter()  # forget callers without subscriptions

    def run(self) -> bool:
        """Pass on the events that are new, and wake those whose time has come; return False."""
        if self._subscriptions:
            self._pass_on()
            now = time.monotonic()
            for subscription in tuple(self._subscriptions):
                if subscription.due <= now:
                    subscription.wake()
        return False

    def _pass_on(self) -> None:
        try:
            with self._lock:
                self._unsent += self._reader.read()
                listening = tuple(self._subscriptions)
            if self._unsent:
                position = self._reader.position
                self._put([News.of(event, position) for event in self._unsent], listening)
                self._unsent = []
            self.position = self._reader.position
            if time.monotonic() >= self._next_progress:
                self._next_progress = time.monotonic() + _PROGRESS_INTERVAL
                self._pass_progress_on([one for one in listening if one.ask.progress])
        except DatabaseError as error:
            if not self._is_failing:
                log.warning("events cannot be read; listeners wait: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def _pass_progress_on(self, listening: Collection[Subscription]) -> None:
        if not listening:
            self._moved = {}
            return
        transfers = [*self._database.transfers(), *self._database.sessions.transfers()]
        running = {one.key: one for one in transfers if one.moved}
        moved = {key: one.moved or 0 for key, one in running.items()}
        fresh = [running[key] for key, count in moved.items() if self._moved.get(key) != count]
        self._moved = moved
        news = [News(Progress(one.image_id, one.store, one.moved or 0, one.total)) for one in fresh]
        if news:
            self._put(news, listening)

    def _put(self, news: Collection[News], listening: Collection[Subscription]) -> None:
        """Give each subscription the news that its caller may see; raises DatabaseError before the first."""
        viewers, woken = self._viewers(one.event.image_id for one in news), 0
        for subscription in listening:
            if mine := [one for one in news if _is_for(one.event, subscription.ask, viewers)]:
                subscription.put(mine)
                woken += 1
                if woken % _AT_ONCE == 0:
                    time.sleep(_BREATH)

    def misses(self, after: int) -> bool:
        """Return whether events after this number have been removed, or were never numbered like this."""
        kept = self._database.events.kept()
        return not max(0, kept.oldest - 1) <= after <= kept.newest

    def past(self, subscription: Subscription, after: int) -> Iterator[list[News]]:
        """Yield the events with numbers greater than `after` that the caller may see now, in lists."""
        while events := self._database.events.after(after, _PAGE):
            viewers = self._viewers(event.image_id for event in events)
            seen = [one for one in events if _is_for(one, subscription.ask, viewers)]
            yield [News.of(event, subscription.position) for event in seen]
            after = events[-1].number

    def _viewers(self, image_ids: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """Return the principals that may view each image now, by the image's id."""
        images = self._database.audiences(set(image_ids))
        return {image_id: _viewers_of(image) for image_id, image in images.items()}


def _viewers_of(image: Image) -> frozenset[str]:
    grants = policy.image_grants(image)
    return frozenset(grant.principal for grant in grants if policy.VIEW in grant.permissions)


def _is_for(event: Event | Progress, ask: Ask, viewers: Mapping[str, frozenset[str]]) -> bool:
    may_view = not viewers.get(event.image_id, frozenset()).isdisjoint(ask.caller.principals)
    return ask.includes(event) and may_view
