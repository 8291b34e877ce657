"""docs/benchmarks.md: tables and plots between its markers. What stands outside of them is written by hand."""
import datetime
import os
import pathlib
import platform
import statistics
import subprocess

import plots
from systems import ROOT, SYSTEMS
from works import WORKS

PAGE = ROOT / "docs/benchmarks.md"
PLOTS = ROOT / "docs/benchmarks"
BEGIN, END = "<!-- results: bench/run -->", "<!-- end of results -->"
TITLES = {system.name: system.title for system in SYSTEMS}


# --- the machine ---

def machine(load):
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    virtual = ", virtual" if " hypervisor" in text else ""
    return {"processor": f"{os.cpu_count()} × {model}{virtual}", "memory": f"{memory:.0f} GiB",
            "system": f"{release}, Linux {platform.release().split('-')[0]}", "load": load,
            "date": datetime.date.today().isoformat()}


def redis_version():
    done = subprocess.run(["redis-server", "--version"], text=True, capture_output=True, check=False)
    return next((word[2:] for word in done.stdout.split() if word.startswith("v=")), "")


# --- numbers ---

class Numbers:
    """Median, least and most of each number over the repetitions."""

    def __init__(self, results):
        self.results = results
        self.records = results["records"]

    def values(self, work, system, key):
        return [record[key] for record in self.records
                if record["work"] == work and record["system"] == system and record.get(key) is not None]

    def median(self, work, system, key):
        values = self.values(work, system, key)
        return statistics.median(values) if values else None

    def spread(self, work, system, key):
        values = self.values(work, system, key)
        return (statistics.median(values), min(values), max(values)) if values else (None, None, None)

    def ratio(self, work, system, key, of_work, of_system, of_key):
        """The median of the ratios within each repetition: a slow minute hits both."""
        ratios = []
        for record in self.records:
            if record["work"] != work or record["system"] != system or record.get(key) is None:
                continue
            for other in self.records:
                if (other["work"], other["system"], other["repetition"]) == (of_work, of_system, record["repetition"]) and other.get(of_key):
                    ratios.append(record[key] / other[of_key])
        return statistics.median(ratios) if ratios else None

    def systems(self, work):
        return [name for name in work.systems if any(r["work"] == work.name and r["system"] == name for r in self.records)]

    def trouble(self, work, system):
        words = []
        for record in self.records:
            if (record["work"], record["system"]) != (work, system):
                continue
            if "broken" in record:
                words.append(record["broken"][:80])
            elif record["exit_code"]:
                counts = [f"{record[key]} {key}" for key in ("lost", "gaps", "duplicates", "failed", "disconnected") if record[key]]
                words.append(", ".join(counts) or record["why"][:80])
        return words[0] if words else ""


def show(value, scale=1.0, digits=3):
    if value is None:
        return ""
    value /= scale
    return f"{value:.{digits}g}" if 0 < abs(value) < 10 ** digits else f"{value:.0f}"


def show_spread(spread, scale=1.0):
    median, low, high = spread
    if median is None:
        return ""
    return show(median, scale) if low == high else f"{show(median, scale)} ({show(low, scale)}..{show(high, scale)})"


# --- bars ---

def verdict(numbers, work, bar):
    """(reached value as text, met: True, False or None when not measured)."""
    if bar.limit:
        value = numbers.median(work.name, "syncgate", bar.key)
        return (show(value / bar.unit_size) + bar.unit, value <= bar.limit) if value is not None else ("", None)
    ratio = numbers.ratio(work.name, "syncgate", bar.key, bar.of_work or work.name, bar.of_system, bar.of_key or bar.key)
    return (f"{ratio:.2f} ×", ratio <= bar.factor) if ratio is not None else ("", None)


def bars_table(numbers):
    lines = ["| work | bar | measured | |", "| --- | --- | --- | --- |"]
    for work in WORKS:
        for bar in work.bars:
            text, met = verdict(numbers, work, bar)
            why = numbers.results["skipped"].get(f"syncgate {work.name}", "not measured")
            lines.append(f"| {work.title} | {bar.text} | {text or why} | {'' if met is None else 'met' if met else '**missed**'} |")
    return "\n".join(lines)


# --- one table for each kind of work ---

def table(columns, rows):
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), *("| " + " | ".join(row) + " |" for row in rows)])


def cpu_table(numbers, work):
    reference = "limit"
    rows = []
    for system in numbers.systems(work):
        def cell(key, scale=1.0, system=system):
            return show_spread(numbers.spread(work.name, system, key), scale)

        def times(of, key="server_us_per_delivery", system=system):
            ratio = numbers.ratio(work.name, system, key, work.name, of, key)
            return f"{ratio:.2f}" if ratio is not None else ""

        rows.append([TITLES[system], cell("server_us_per_delivery"), times(reference), times("limit-merged"), times("syncgate"),
                     cell("p50", 1000), cell("p99", 1000), cell("deliveries_per_second"), numbers.trouble(work.name, system)])
    return table(["", "CPU µs per delivery", "× limit", "× merged limit", "× syncgate", "p50 ms", "p99 ms", "deliveries/s", ""], rows)


def memory_table(numbers, work):
    rows = []
    for system in numbers.systems(work):
        rows.append([TITLES[system], show_spread(numbers.spread(work.name, system, "rss_bytes_per_connection"), 1000),
                     show_spread(numbers.spread(work.name, system, "connect_server_us")),
                     show(numbers.median(work.name, system, "connect_redis_reads")) if system == "syncgate" else "",
                     numbers.trouble(work.name, system)])
    return table(["", "kB each", "CPU µs to connect and subscribe", "reads of Redis", ""], rows)


def detail_table(keys):
    def render(numbers, work):
        rows = []
        for system in numbers.systems(work):
            rows.append([TITLES[system], *(show_spread(numbers.spread(work.name, system, key), scale) for _, key, scale in keys),
                         numbers.trouble(work.name, system)])
        return table(["", *(title for title, _, _ in keys), ""], rows)
    return render


TABLES = {
    "cpu": cpu_table,
    "latency": cpu_table,
    "memory": memory_table,
    "list": detail_table([("CPU µs per frame", "server_us_per_message", 1), ("CPU µs per viewer and change", "server_us_per_delivery", 1),
                          ("reads of Redis per change", "redis_reads_per_publish", 1), ("p50 ms", "p50", 1000), ("p99 ms", "p99", 1000)]),
    "slow": detail_table([("CPU µs per delivery", "server_us_per_delivery", 1), ("p50 ms of the others", "p50", 1000), ("p99 ms", "p99", 1000),
                          ("of 100 have the newest after resuming", "slow_newest", 1), ("messages each then gets, at most", "slow_messages_max", 1),
                          ("MB of memory grown in all", "rss_bytes_grown", 1e6)]),
    "throughput": detail_table([("deliveries/s", "deliveries_per_second", 1), ("CPU µs per delivery", "server_us_per_delivery", 1),
                                ("cores: server", "server_busy", 1), ("cores: generator", "generator_busy", 1)]),
    "bytes": detail_table([("CPU µs per delivery", "server_us_per_delivery", 1), ("bytes per delivery", "bytes_per_delivery", 1),
                           ("p50 ms", "p50", 1000)]),
}


def work_section(numbers, work):
    lines = [f"#### {work.title}", "", *([work.note, ""] if work.note else [])]
    if not numbers.systems(work):
        why = [reason for key, reason in numbers.results["skipped"].items() if key.endswith(" " + work.name)]
        return "\n".join([*lines, f"Not measured: {why[0]}." if why else "Not measured.", ""])
    lines += [TABLES[work.show](numbers, work), ""]
    sample = next(record for record in numbers.records if record["work"] == work.name and record["commands"]
                  and record["system"] == ("syncgate" if "syncgate" in work.systems else work.systems[0]))
    return "\n".join([*lines, "```", *(shorten(command) for command in sample["commands"]), "```", ""])


def shorten(command):
    """Without the folders of this machine."""
    words = []
    for word in command.split():
        words.append(os.path.basename(word) if word.startswith("/") else word)
    return " ".join(words)


# --- plots ---

def plot(numbers, name, title, unit, works, key, scale, scale_of=plots.Logarithmic):
    groups = []
    for work in works:
        rows = []
        for system in numbers.systems(work):
            median, low, high = numbers.spread(work.name, system, key)
            if median is not None:
                rows.append((system, TITLES[system], median / scale, low / scale, high / scale))
        if rows:
            groups.append((work.title if len(works) > 1 else "", sorted(rows, key=lambda row: row[2])))
    svg = plots.chart(title, unit, groups, scale_of)
    if not svg:
        return ""
    PLOTS.mkdir(parents=True, exist_ok=True)
    (PLOTS / f"{name}.svg").write_text(svg)
    return f"![{title}](benchmarks/{name}.svg)\n"


def all_plots(numbers):
    by_name = {work.name: work for work in WORKS}
    fanout = [by_name[name] for name in ("fanout-1-1000", "fanout-1-5000", "fanout-4-5000", "fanout-32-1000")]
    return "\n".join(filter(None, [
        plot(numbers, "cpu", "Processor time of the server per delivery", "µs", fanout, "server_us_per_delivery", 1),
        plot(numbers, "memory", "Resident memory per idle connection", "kB", [by_name["idle-10000"]], "rss_bytes_per_connection", 1000, plots.Linear),
        plot(numbers, "latency-p50", "Latency at 20 publishes per second to 1 000 subscribers, median", "ms", [by_name["rate-20-1000"]],
             "p50", 1000),
        plot(numbers, "latency-p99", "The same, 99th percentile", "ms", [by_name["rate-20-1000"]], "p99", 1000),
    ]))


# --- the page ---

def derive(results):
    for record in results["records"]:
        if record.get("deliveries"):
            record["bytes_per_delivery"] = record["received_bytes"] / record["deliveries"]


def summary(results):
    derive(results)
    return bars_table(Numbers(results))


def about(results):
    m = results["machine"]
    others = [record["others"] for record in results["records"] if "others" in record] or [0]
    lines = [
        f"{m['date']}, {m['processor']}, {m['memory']}, {m['system']}, Redis {results['redis']}. "
        f"Repetitions: {results['repetitions']}, of {results['seconds']:g} s each: median (least..most). Server on core 0, Redis and generator "
        "on core 1. Ratios are taken within a repetition; the median of them is shown.", "",
        *(["**The measurement was interrupted**: what is missing was not measured, or less often.", ""] if results.get("interrupted") else []),
        f"Other processes took {statistics.median(others):.1%} of the machine during a run ({max(others):.1%} at most); runs in "
        "which it was more than 3% were made again while patience lasted.", "",
        "Measured: " + ", ".join(f"{TITLES[name]}{' ' + version if version else ''}" for name, version in results["versions"].items()) + "."]
    absent = sorted({f"{TITLES[key.split()[0]]} ({why})" for key, why in results["skipped"].items() if not why.startswith("this build")})
    if absent:
        lines += ["", "Not measured: " + ", ".join(absent) + "."]
    return "\n".join(lines)


def render(results, plots=True):
    derive(results)
    numbers = Numbers(results)
    parts = [about(results), "### What was to be reached", bars_table(numbers), "### In pictures", all_plots(numbers) if plots else "", "### All numbers"]
    parts += [work_section(numbers, work) for work in WORKS]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def write(results):
    text = PAGE.read_text() if PAGE.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{render(results)}{END}{tail}")
