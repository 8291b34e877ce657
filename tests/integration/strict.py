"""A strict SockSync v1 peer as pure state, written from section 2 of the protocol alone.

Feed it every message that is sent (sent) and every message that comes (received). It holds what a naive client would
hold and raises Violation on the first frame that such a client could not apply: data without a subscription, an
increment before the snapshot, an index outside the held page, an id that is there already or is not there, a page that
grows beyond its size, a set_count that says nothing new, an answer to a call that was never made, an unexpected error.
"""
import collections
import json
import time

from jsontext import Frame, NotJson, decode, elements, members

GRACE_S = 30.0  # frames already queued, here too, may still come that long after our own unsubscribe; tests of just that use fences
DEFAULT_PAGE_SIZE = 100

REQUIRED = {
    ("set", "var"): {"name", "value"},
    ("set", "list"): {"name", "id", "value"},
    ("set_all", "list"): {"name", "page", "total_item_count", "items"},
    ("set_count", "list"): {"name", "total_item_count"},
    ("insert", "list"): {"name", "index", "id", "value"},
    ("delete", "list"): {"name", "id"},
    ("subscribe", "var"): {"name"},
    ("subscribe", "list"): {"name"},
    ("subscribe", "function"): {"name"},
    ("unsubscribe", "var"): {"name"},
    ("unsubscribe", "list"): {"name"},
    ("unsubscribe", "function"): {"name"},
    ("call", "function"): {"name", "id"},
    ("return", "function"): {"name", "id"},
}
OPTIONAL = {
    ("delete", "list"): {"gone"},
    ("call", "function"): {"args"},
    ("return", "function"): {"value"},
}


class Violation(AssertionError):
    """A frame that a client written from the protocol text could not apply."""


def key_of(item_id):
    """Ids compare by decoded value; 1 and "1" differ, as do 1 and true."""
    return (type(item_id).__name__, item_id)


class Var:
    """What a subscriber of a variable holds."""

    def __init__(self):
        self.value = None  # raw text; None before the snapshot
        self.answers_due = 0  # sets that must still come because we asked: at least
        self.answers_may = 0  # … and at most: a change and an answer look the same


class ListView:
    """What a subscriber of a list holds: one page and the count."""

    def __init__(self):
        self.page = None  # None before the snapshot
        self.counts = set()  # total item count; two readings after a delete of an item that is off the page
        self.items = []  # [key, raw value] in order
        self.sizes = []  # page sizes asked for: the last is the newest; more than one while answers may be due
        self.answers_due = 0
        self.stale = False  # unsubscribed since the last set_all: no longer kept current

    def ids(self):
        return [key for key, _ in self.items]

    def find(self, key):
        for at, (held, _) in enumerate(self.items):
            if held == key:
                return at
        return -1

    @property
    def count(self):
        return next(iter(self.counts)) if len(self.counts) == 1 else None

    def held(self):
        """What can be compared with a slice of the list: (page, sizes it may have, counts, items)."""
        return self.page, tuple(self.sizes), frozenset(self.counts), tuple((key, value) for key, value in self.items)


class Item(Var):
    """What a subscriber of one item holds."""

    def __init__(self):
        super().__init__()
        self.unsure = False  # inactive after an error that may have been meant for another request


class Subscription:
    def __init__(self, view):
        self.view = view
        self.active = True
        self.unsure = False  # refused, perhaps
        self.left_at = None

    def live(self):
        return self.active or (self.left_at is not None and time.monotonic() - self.left_at < GRACE_S)

    def leave(self):
        self.active = False
        self.left_at = time.monotonic()
        if self.view:
            self.view.answers_due = 0  # what was asked before may still be answered, and need not
        if isinstance(self.view, ListView):
            self.view.stale = True


class StrictState:
    def __init__(self, max_page_size=DEFAULT_PAGE_SIZE, unique_values=False):
        """unique_values: no value is written twice, so a second `set` of the same one is a frame too many. (Not so for what is
        on a page: an item that leaves and comes back between two comparisons may be set to what it was.)"""
        self.max_page_size = max_page_size
        self.unique_values = unique_values
        self.subscriptions = {}  # (type, name) or ("item", name, key) -> Subscription
        self.fetches = {}  # (name, key) -> [answers due at least, answers due at most] of get with id
        self.callable = set()  # functions that the gateway says we may call
        self.writable = set()  # (type, name) that the gateway has subscribed to at us
        self.calls = {}  # key of our call -> name
        self.settled = {}  # key of our call -> Frame
        self.executing = {}  # key of a call to us -> Frame
        self.pings = collections.deque()  # keys of the pings that wait for their pong, None for one without an id
        self.excuses = []  # (type, name, key or None, codes): errors that may come
        self.errors = []  # Frames
        self.talk = collections.deque(maxlen=2000)  # the last messages in both directions, for whoever reads a Violation
        self.outage = False  # Redis may be away: any request may be answered with error 8
        self.tolerant = False  # the test reads all errors itself: none is a violation
        self.observe = None  # called as observe(frame) after each frame was applied
        # list name -> [held()] after each frame that touched it, for the names that are there; None where we left the list
        self.history = {}

    # --- what we send ---

    def sent(self, text):
        """Call with every well-formed message before it is sent."""
        self.talk.append("> " + text)
        message = Frame(text)
        func = message["func"]
        if func == "unsubscribe_all":
            for subscription in self.subscriptions.values():
                if subscription.active:
                    subscription.leave()
            for name in self.history:
                self._cut(name)
            for due in self.fetches.values():
                due[0] = 0
            return
        kind, name = message.get("type"), message.get("name")
        handler = getattr(self, f"_sent_{func}", None)
        if handler:
            handler(kind, name, message)

    def _sent_subscribe(self, kind, name, message):
        if kind == "function":
            self._subscribe((kind, name), lambda: None)
        elif kind == "var":
            self._asked(self._subscribe((kind, name), Var).view)
        elif message.get("id") is not None:
            self._asked(self._subscribe(("item", name, key_of(message["id"])), Item).view)
        else:
            view = self._subscribe((kind, name), ListView).view
            view.answers_due += 1
            view.sizes.append(self.max_page_size)

    @staticmethod
    def _asked(view):
        view.answers_due += 1
        view.answers_may += 1

    def _subscribe(self, key, make):
        subscription = self.subscriptions.get(key)
        if subscription is None or (not subscription.active and not subscription.live()):
            subscription = self.subscriptions[key] = Subscription(make())
        subscription.active = True  # frames of the former subscription may still come: its view is kept
        return subscription

    def _cut(self, name):
        """We leave a list, perhaps in the middle of a group of frames."""
        if name in self.history:
            self.history[name].append(None)

    def _sent_unsubscribe(self, kind, name, message):
        key = (kind, name)
        if kind == "list" and message.get("id") is not None:
            key = ("item", name, key_of(message["id"]))
        if key in self.subscriptions:
            self.subscriptions[key].leave()
        if key == ("list", name):
            self._cut(name)
        elif key[1:] in self.fetches:
            self.fetches[key[1:]][0] = 0

    def _sent_get(self, kind, name, message):
        if kind == "list" and message.get("id") is not None:
            due = self.fetches.setdefault((name, key_of(message["id"])), [0, 0])
            due[0] += 1
            due[1] += 1
            return
        subscription = self.subscriptions.get((kind, name))
        if subscription is None or not subscription.active:
            return
        if kind == "var":
            self._asked(subscription.view)
        else:
            subscription.view.answers_due += 1
            size = message.get("page_size")
            subscription.view.sizes.append(min(size, self.max_page_size) if size else self.max_page_size)

    def _sent_call(self, _kind, name, message):
        self.calls[key_of(message["id"])] = name

    def _sent_ping(self, _kind, _name, message):
        item_id = message.get("id")
        self.pings.append(None if item_id is None else key_of(item_id))

    def _sent_return(self, _kind, _name, message):
        self.executing.pop(key_of(message["id"]), None)

    def _sent_error(self, _kind, _name, message):
        if "id" in message:
            self.executing.pop(key_of(message["id"]), None)

    def excuse(self, kind, name, item_id, *codes):
        """One error with one of these codes may come for (type, name, id)."""
        self.excuses.append((kind, name, None if item_id is None else key_of(item_id), codes))

    # --- what comes ---

    def received(self, text):
        """Applies one message from the gateway, or raises Violation. Returns the Frame."""
        self.talk.append("< " + text)
        try:
            frame = Frame(text)
        except NotJson as error:
            raise Violation(f"not a JSON object: {error}") from None
        func = frame.get("func")
        if func == "error":
            self._error(frame)
        elif func == "pong":
            self._pong(frame)
        else:
            kind = frame.get("type")
            required = REQUIRED.get((func, kind))
            self._check(required is not None, frame, "no such message")
            allowed = required | OPTIONAL.get((func, kind), set()) | {"func", "type"}
            self._check(required <= set(frame.raw), frame, "a required field is missing")
            self._check(set(frame.raw) <= allowed, frame, "a field that is not in the protocol")
            self._check(isinstance(frame["name"], str), frame, "name is not a string")
            getattr(self, f"_{func}_{kind}")(frame, frame["name"])
        if self.observe:
            self.observe(frame)
        return frame

    def _check(self, condition, frame, what):
        if not condition:
            raise Violation(f"{what}: {frame!r}\nof the same name:" + self.about(frame.raw.get("name", "")))

    def _item_id(self, frame):
        item_id = frame["id"]
        self._check(type(item_id) in (str, int), frame, "an id that is neither string nor integer")
        return key_of(item_id)

    def _live(self, *key):
        subscription = self.subscriptions.get(key)
        return subscription if subscription is not None and subscription.live() else None

    def _pong(self, frame):
        self._check(set(frame.raw) <= {"func", "id"}, frame, "a field that is not in the protocol")
        self._check(self.pings, frame, "nothing was asked")
        key = self._item_id(frame) if "id" in frame else None
        self._check(key == self.pings.popleft(), frame, "not the pong of the oldest ping")

    def _set_var(self, frame, name):
        subscription = self._live("var", name)
        self._check(subscription, frame, "data without a subscription")
        subscription.unsure = False
        self._told(frame, subscription.view)

    def _told(self, frame, view):
        """A value came for a variable or an item, as a change or as an answer."""
        if view.value == frame.raw["value"] and self.unique_values:
            self._check(view.answers_may > 0, frame, "the same change twice")
            view.answers_may -= 1
        view.value = frame.raw["value"]
        view.answers_due = max(0, view.answers_due - 1)

    def _list_view(self, frame, name):
        subscription = self._live("list", name)
        self._check(subscription, frame, "data without a subscription")
        self._check(subscription.view.page is not None, frame, "a change before the snapshot")
        return subscription.view

    def _set_list(self, frame, name):
        key, value = self._item_id(frame), frame.raw["value"]
        page, item = self._live("list", name), self._live("item", name, key)
        view = page.view if page is not None and page.view.page is not None else None
        at = view.find(key) if view else -1
        due = self.fetches.get((name, key))
        self._check(at >= 0 or item or (due and due[1] > 0), frame, "set of an item that is neither held nor subscribed")
        asked = due is not None and due[1] > 0
        if due:
            due[0] = max(0, due[0] - 1)
            if at < 0 and not item:
                due[1] -= 1
        if item:
            if item.view.unsure and item.view.answers_may and at < 0:
                item.active, item.view.unsure = True, False
            if at >= 0 or asked:
                item.view.value = None  # the same value again may be an answer, or what the page needs
            self._told(frame, item.view)
        if at >= 0:
            view.items[at][1] = value
            self._listed(name, view)

    def _set_all_list(self, frame, name):
        subscription = self._live("list", name)
        self._check(subscription, frame, "data without a subscription")
        view = subscription.view
        items = []
        try:
            for element in elements(frame.raw["items"]):
                fields = members(element)
                self._check(set(fields) == {"id", "value"}, frame, "an item is {id, value}")
                item_id = decode(fields["id"])
                self._check(type(item_id) in (str, int), frame, "an id that is neither string nor integer")
                items.append([key_of(item_id), fields["value"]])
        except NotJson as error:
            raise Violation(f"items: {error}") from None
        keys = [key for key, _ in items]
        self._check(len(set(keys)) == len(keys), frame, "an id twice in one page")
        page, total = frame["page"], frame["total_item_count"]
        self._check(type(page) is int and page >= 0, frame, "page is not a count")
        self._check(type(total) is int and total >= 0, frame, "total_item_count is not a count")
        self._check(len(items) <= total, frame, "more items than the list has")
        subscription.unsure = False
        view.page, view.counts, view.items, view.stale = page, {total}, items, not subscription.active
        view.answers_due = max(0, view.answers_due - 1)
        for key, value in items:
            item = self._live("item", name, key)
            if item and item.active:
                item.view.value = value
        self._check_page(frame, view)
        self._listed(name, view)

    def _set_count_list(self, frame, name):
        view = self._list_view(frame, name)
        total = frame["total_item_count"]
        self._check(type(total) is int and total >= 0, frame, "total_item_count is not a count")
        self._check(view.counts != {total}, frame, "a set_count that says nothing new")
        view.counts = {total}
        self._check_page(frame, view)
        self._listed(name, view)

    def _insert_list(self, frame, name):
        view = self._list_view(frame, name)
        key, index = self._item_id(frame), frame["index"]
        self._check(type(index) is int, frame, "index is not an integer")
        self._check(0 <= index <= len(view.items), frame, f"index outside of the held page of {len(view.items)} items")
        self._check(view.find(key) < 0, frame, "insert of an id that is held already")
        view.items.insert(index, [key, frame.raw["value"]])
        item = self._live("item", name, key)
        if item and item.active:
            item.view.value = frame.raw["value"]
        view.counts = {count + 1 for count in view.counts}
        self._check_page(frame, view)
        self._listed(name, view)

    def _delete_list(self, frame, name):
        key = self._item_id(frame)
        self._check(frame.raw.get("gone", "true") == "true", frame, "gone is true or absent")
        page, item = self._live("list", name), self._live("item", name, key)
        view = page.view if page is not None and page.view.page is not None else None
        at = view.find(key) if view else -1
        gone = "gone" in frame
        self._check(at >= 0 or item, frame, "delete of an item that is neither held nor subscribed")
        self._check(at >= 0 or gone, frame, "delete of a subscribed item that is not on the page, without gone")
        if item and gone:
            item.active = False  # ends by itself, with the grace of our own unsubscribe for what is on its way
            item.left_at = time.monotonic() if item.left_at is None else item.left_at
        if at >= 0:
            del view.items[at]
            view.counts = {count - 1 for count in view.counts}
        elif view:
            # A naive client counts every delete, a careful one only those of its page: both must come out right.
            view.counts = view.counts | {count - 1 for count in view.counts}
        if view:
            self._check_page(frame, view)
            self._listed(name, view)

    def _check_page(self, frame, view):
        sizes = view.sizes or [self.max_page_size]
        self._check(len(view.items) <= max(sizes), frame, f"the page grows to {len(view.items)} of {max(sizes)}")
        # Deletes and inserts change both numbers alike, so this holds in the middle of a change too.
        self._check(max(view.counts) - len(view.items) >= view.page * min(sizes), frame,
                    f"{len(view.items)} items on page {view.page} do not fit a list of {view.counts}")

    def _listed(self, name, view):
        if name in self.history and not view.stale:
            self.history[name].append(view.held())

    # --- functions, grants, errors ---

    def _subscribe_function(self, frame, name):
        self._check(name not in self.callable, frame, "a function that is offered already")
        self.callable.add(name)

    def _unsubscribe_function(self, frame, name):
        self._check(name in self.callable, frame, "a function that was not offered")
        self.callable.discard(name)

    def _subscribe_var(self, frame, name):
        self._check(("var", name) not in self.writable, frame, "subscribed already")
        self.writable.add(("var", name))

    def _subscribe_list(self, frame, name):
        self._check(("list", name) not in self.writable, frame, "subscribed already")
        self.writable.add(("list", name))

    def _unsubscribe_var(self, frame, name):
        self._check(("var", name) in self.writable, frame, "was not subscribed")
        self.writable.discard(("var", name))

    def _unsubscribe_list(self, frame, name):
        self._check(("list", name) in self.writable, frame, "was not subscribed")
        self.writable.discard(("list", name))

    def _call_function(self, frame, name):
        self._check(self._live("function", name), frame, "call of a function that we do not serve")
        key = self._item_id(frame)
        self._check(key not in self.executing, frame, "the id of a call that has not ended")
        if "args" in frame:
            self._check(frame.raw["args"].startswith("{"), frame, "args is not an object")
        self.executing[key] = frame

    def _return_function(self, frame, name):
        key = self._item_id(frame)
        self._check(key in self.calls, frame, "the return of a call that is not in flight")
        self._check(self.calls.pop(key) == name, frame, "the return of another function")
        self.settled[key] = frame

    def _error(self, frame):
        self._check(type(frame.get("error_code")) is int, frame, "error_code is not an integer")
        self._check(1 <= frame["error_code"] <= 8, frame, "no such error code")
        allowed = {"func", "error_code", "message", "type", "name", "id", "waiting"}
        self._check(set(frame.raw) <= allowed, frame, "a field that is not in the protocol")
        self._check(isinstance(frame.get("message", ""), str), frame, "message is not a string")
        self.errors.append(frame)
        if "waiting" in frame:
            self._check(frame.raw["waiting"] == "true" and frame["error_code"] == 3, frame, "only an unknown name is waited for")
            return  # the subscription stays
        key = key_of(frame["id"]) if "id" in frame else None
        if key in self.calls and frame.get("type") == "function":
            self.calls.pop(key)
            self.settled[key] = frame
            return
        self._check(self._excused(frame, key) or self.tolerant, frame, "an error that nothing called for")

    def _excused(self, frame, key):
        kind, name, code = frame.get("type"), frame.get("name"), frame["error_code"]
        matching = [excuse for excuse in self.excuses
                    if code in excuse[3] and (kind, name) == excuse[:2] and key in (None, excuse[2])]
        if matching:
            excuse = next((excuse for excuse in matching if excuse[2] == key), matching[0])
            self.excuses.remove(excuse)
            self._settle_failed(kind, name, excuse[2])
            return True
        if self.outage and code == 8 and name is not None:
            self._settle_failed(kind, name, key)
            return True
        return False

    def _settle_refused(self, kind, name):
        """The error was the answer to a request for this variable or page, or to a write of it: a subscription that has seen
        no state yet may or may not be one."""
        subscription = self.subscriptions.get((kind, name))
        if subscription and subscription.view and subscription.view.answers_due:
            subscription.view.answers_due -= 1
            view = subscription.view
            fresh = view.value is None if kind == "var" else view.page is None or view.stale
            if fresh and not subscription.view.answers_due:
                subscription.unsure = True

    def _settle_failed(self, kind, name, key):
        """The error was the answer to a request for this item, or without a key for the variable or page."""
        if key is None:
            self._settle_refused(kind, name)
        due = self.fetches.get((name, key))
        if kind == "list" and due:
            due[0] = max(0, due[0] - 1)  # not due[1]: it may have been a write of the item that failed
        item = self.subscriptions.get(("item", name, key))
        if item and item.view.answers_due:
            item.view.answers_due -= 1
            if not item.view.answers_due:
                item.leave()
                item.view.unsure = True  # it may have been the answer to a get or a write of the same item

    # --- asking ---

    def value(self, name):
        """The raw text that is held of a variable; None before the snapshot."""
        subscription = self.subscriptions.get(("var", name))
        return subscription.view.value if subscription else None

    def list(self, name):
        subscription = self.subscriptions.get(("list", name))
        return subscription.view if subscription else None

    def item(self, name, item_id):
        subscription = self.subscriptions.get(("item", name, key_of(item_id)))
        return subscription.view.value if subscription and subscription.active else None

    def active(self, *key):
        return key in self.subscriptions and self.subscriptions[key].active

    def answers_due(self):
        """What must still be answered: keys of subscriptions, (list, item) of get with id, ids of calls."""
        due = [key for key, s in self.subscriptions.items() if s.active and s.view is not None and s.view.answers_due]
        return due + [key for key, (low, _) in self.fetches.items() if low] + list(self.calls)

    def about(self, name, item_id=None):
        """The last messages about a name (or one item of it), for a failure's text."""
        part = "" if item_id is None else json.dumps(item_id, ensure_ascii=False)
        lines = [line for line in self.talk if (f'"{name}"' in line and part in line) or "unsubscribe_all" in line]
        return "".join(f"\n  {line[:240]}" for line in lines[-30:])

    def settle(self):
        """All answers have come and nothing is on its way: the newest page size is the one that holds."""
        for key, subscription in self.subscriptions.items():
            if key[0] == "list" and subscription.view.sizes:
                del subscription.view.sizes[:-1]
