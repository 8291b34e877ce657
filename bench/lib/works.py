"""The work that is measured, and what is to be reached. A bar compares one number of syncgate with a reference of the same run."""
from dataclasses import dataclass, field

OURS = ["limit", "limit-merged", "syncgate"]
ALL = [*OURS, "nchan", "ws", "socketio", "channels", "channels-pubsub", "mosquitto", "nats"]
QUICK = [*ALL[:6], "mosquitto", "nats"]  # without those for which ten thousand connections take minutes

CPU = "server_us_per_delivery"
RSS = "rss_bytes_per_connection"
CONNECT = "connect_server_us"


@dataclass
class Bar:
    """number(work, system) <= factor * number(of_work, of_system), or <= limit."""

    text: str
    key: str
    factor: float = 0
    of_system: str = ""
    of_work: str = ""  # empty: the same
    of_key: str = ""  # empty: the same
    limit: float = 0
    unit: str = ""
    unit_size: float = 1


def kilobytes(limit):
    return Bar(f"≤ {limit:g} kB each", RSS, limit=limit * 1000, unit=" kB", unit_size=1000)


@dataclass
class Work:
    name: str
    title: str
    options: list  # of syncgate-bench
    systems: list
    bars: list = field(default_factory=list)
    show: str = "cpu"  # what its table shows: cpu, latency, memory, list, slow, throughput, bytes
    kind: str = "var"
    syncgate: list = field(default_factory=list)  # flags
    needs: str = ""  # a flag that syncgate must have
    tls: bool = False
    writes: bool = False  # a client publishes
    workers: int = 1
    server_core: object = 0
    generator_core: object = 1
    seconds: float = 0  # 0: as the others
    note: str = ""  # under its title


WORKS = [
    Work("fanout-1-1000", "1 publish in flight, 1 000 subscribers", ["--clients", 1000, "--window", 1], ALL,
         [Bar("≤ 1.15 × limit", CPU, 1.15, "limit")]),
    Work("fanout-1-5000", "1 publish in flight, 5 000 subscribers", ["--clients", 5000, "--window", 1], ALL,
         [Bar("≤ 1.15 × limit", CPU, 1.15, "limit")]),
    Work("fanout-4-5000", "4 in flight, 5 000 subscribers", ["--clients", 5000, "--window", 4], ALL,
         [Bar("≤ 1.15 × merged limit", CPU, 1.15, "limit-merged"), Bar("≤ 0.4 × nchan", CPU, 0.4, "nchan")]),
    Work("fanout-32-1000", "32 in flight, 1 000 subscribers", ["--clients", 1000, "--window", 32], ALL,
         [Bar("≤ 1.5 × merged limit", CPU, 1.5, "limit-merged")]),
    Work("rate-20-1000", "20 publishes per second to 1 000 subscribers", ["--clients", 1000, "--rate", 20], ALL,
         [Bar("p50 ≤ 1.15 × limit", "p50", 1.15, "limit"), Bar("p99 ≤ 1.15 × limit", "p99", 1.15, "limit")], show="latency"),
    Work("names-10000", "10 000 variables, one subscriber each, 10 000 updates per second spread evenly",
         ["--clients", 10000, "--name", "x%d", "--rate", 10000], [*OURS, "nchan", "ws", "socketio", "mosquitto", "nats"],
         [Bar("≤ 2 × limit", CPU, 2, "limit")]),
    Work("names-1000", "the same with 1 000 variables: the cost must not grow with their number",
         ["--clients", 1000, "--name", "x%d", "--rate", 10000], OURS,
         []),
    Work("idle-10000", "10 000 idle connections with one subscription, connected as fast as possible",
         ["--clients", 10000, "--idle"], QUICK,
         [kilobytes(2.5), Bar("≤ 70 µs to connect, subscribe and get the state", CONNECT, limit=70, unit=" µs"),
          Bar("one Redis read per name", "connect_redis_reads", limit=2)], show="memory"),
    Work("idle-tls-10000", "the same over TLS", ["--clients", 9000, "--idle"], ["syncgate"],
         [kilobytes(18)], show="memory", needs="--tls-cert", tls=True),
    Work("idle-deflate-10000", "the same with permessage-deflate negotiated", ["--clients", 10000, "--idle", "--deflate"],
         ["syncgate"], [kilobytes(6)], show="memory", needs="--deflate", syncgate=["--deflate", "on"]),
    Work("list-1000", "1 000 viewers over 20 windows of a list of 100 000 items, inserts at the head",
         ["--clients", 1000, "--windows", 20, "--list-items", 100000, "--window", 1], ["syncgate"],
         [Bar("per frame ≤ 1.3 × a variable's", "server_us_per_message", 1.3, "syncgate", "fanout-1-1000"),
          Bar("≤ 1 Redis read per change (and a sweep now and then)", "redis_reads_per_publish", limit=1.05)], show="list", kind="list"),
    Work("write-1000", "a client's own set, seen by 1 000 subscribers", ["--clients", 1000, "--window", 1], ["syncgate"],
         [Bar("≤ 1.15 × a write through Redis", CPU, 1.15, "syncgate", "fanout-1-1000")], writes=True),
    Work("slow-1000", "100 of 1 000 subscribers stop reading, 4 in flight, values of 4 000 bytes",
         ["--clients", 1000, "--slow", 100, "--window", 4, "--size", 4000], ["syncgate"], [], show="slow"),
    Work("workers-1", "one worker, both cores for everybody, 4 in flight, 1 000 subscribers",
         ["--clients", 1000, "--window", 4], ["syncgate"], [], show="throughput", server_core=None, generator_core=None),
    Work("workers-2", "two workers, likewise", ["--clients", 1000, "--window", 4], ["syncgate"], [], show="throughput",
         syncgate=["--workers", 2], workers=2, server_core=None, generator_core=None,
         note="The generator needs about as much of a core as one worker. On a machine with two cores two workers and the generator "
              "share what there is, so deliveries per second cannot double here: what counts is that a delivery costs no more."),
    Work("deflate-1000", "values of 1 000 bytes to 1 000 subscribers with permessage-deflate",
         ["--clients", 1000, "--window", 1, "--size", 1000, "--deflate"], ["syncgate"], [], show="bytes", needs="--deflate",
         syncgate=["--deflate", "on"]),
    Work("plain-1000", "the same without", ["--clients", 1000, "--window", 1, "--size", 1000], ["syncgate"], [], show="bytes"),
]
