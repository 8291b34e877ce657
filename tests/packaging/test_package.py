"""What is installed: the tree of `cmake --install`, the Debian package, manual pages and systemd units. Built from build/release."""
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
import gateway as gateway_module  # noqa: E402  (from the folder above)

RELEASE = ROOT / "build/release"
EXPOSURE_MAX = 15  # of systemd-analyze security, in tenths; docs/installing.md says what it is

# What a package needs of others, whatever their version. The program brings along what Debian 12 has too old.
LIBRARIES = r"libc6|libcap2|libcyaml1|libevent-2\.1-\w+|libjson-c\w+|libssl3\w*|libyaml-0-2|zlib1g|libwebsockets\w+|libhiredis\S+"


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tool(name):
    return pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here")


@pytest.fixture(scope="module")
def package():
    """The path of the package."""
    return pathlib.Path(run(ROOT / "deploy/package").splitlines()[-1])


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "-x", package, folder)
    return folder


def field(package, name):
    return run("dpkg-deb", "-f", package, name).strip()


# --- the Debian package ---


@pytest.mark.parametrize("path", [
    "usr/bin/syncgate", "usr/share/man/man1/syncgate.1.gz", "usr/share/man/man5/syncgate.conf.5.gz",
    "usr/share/syncgate/functions.lua", "usr/lib/systemd/system/syncgate@.service", "usr/lib/systemd/system/syncgate@.socket",
    "usr/lib/sysusers.d/syncgate.conf", "etc/syncgate/syncgate.yaml", "usr/share/doc/syncgate/README.md",
    "usr/share/doc/syncgate/docs/operations.md", "usr/share/doc/syncgate/copyright", "usr/share/doc/syncgate/examples/syncgate.yaml",
])
def test_what_is_in_it(unpacked, path):
    assert (unpacked / path).stat().st_size > 0


def test_nothing_of_the_build_is_in_it(unpacked):
    ours = [f"{ROOT}/{folder}/".encode() for folder in ("build", "gateway", "protocol", "redis", "deploy")]
    for path in unpacked.rglob("*"):
        content = b"" if path.is_dir() else path.read_bytes()
        assert not any(name in content for name in ours), f"{path} names the build folder"


def test_what_it_depends_on(package):
    needs = [re.split(r"[ (]", need)[0] for need in field(package, "Depends").split(", ")]
    assert "adduser" in needs and "libc6" in needs
    assert not [need for need in needs if not re.fullmatch(f"adduser|{LIBRARIES}", need)]
    if (ROOT / "build/deps/libwebsockets.stamp").exists():
        assert not [need for need in needs if "websockets" in need or "hiredis" in need], "they are linked statically here"
    assert "redis-server" in field(package, "Recommends")


def test_the_configuration_is_its_owners(package, tmp_path):
    run("dpkg-deb", "-e", package, tmp_path)
    assert (tmp_path / "conffiles").read_text() == "/etc/syncgate/syncgate.yaml\n"
    assert "root/root" in run("dpkg-deb", "-c", package).split("\n")[0]
    line = next(line for line in run("dpkg-deb", "-c", package).splitlines() if line.endswith("syncgate.yaml") and "/etc/" in line)
    assert line.startswith("-rw-r-----"), "it may hold tokens"
    for script in ("postinst", "prerm", "postrm"):
        run("sh", "-n", tmp_path / script)


@tool("lintian")
def test_lintian_is_content(package):
    assert "E:" not in run("lintian", "--allow-root", "--fail-on", "error,warning", package)


# --- the program of the package ---


def test_it_says_its_version(package, unpacked):
    assert run(unpacked / "usr/bin/syncgate", "--version") == f"syncgate {field(package, 'Version').split('-')[0]}\n"


@pytest.mark.parametrize("path", ["etc/syncgate/syncgate.yaml", "usr/share/doc/syncgate/examples/syncgate.yaml"])
def test_its_files_are_good(unpacked, path):
    run(unpacked / "usr/bin/syncgate", "--check-config", "--config", unpacked / path)


def test_strangers_may_do_nothing(unpacked):
    printed = run(unpacked / "usr/bin/syncgate", "--print-config", "--config", unpacked / "etc/syncgate/syncgate.yaml")
    assert "anonymous:\n  subscribe: []\n  call: []\n  write: []\n  serve: []\n" in printed


def test_it_runs(unpacked, tmp_path, monkeypatch):
    monkeypatch.setattr(gateway_module, "BINARY", str(unpacked / "usr/bin/syncgate"))
    started = gateway_module.Gateway(tmp_path, None, "--config", unpacked / "etc/syncgate/syncgate.yaml", "--redis=", dev=False)
    started.start()
    assert started.get("/").status == 200
    started.stop()


def test_the_library_is_that_of_the_program(unpacked):
    assert (unpacked / "usr/share/syncgate/functions.lua").read_bytes() == subprocess.check_output([ROOT / "redis/functions/join"])


# --- cmake --install ---


def install(folder, *flags, **env):
    return run("env", *(f"{key}={value}" for key, value in env.items()), "cmake", "--install", RELEASE, *flags)


def test_a_prefix_and_destdir(package, tmp_path):
    install(tmp_path, "--prefix", "/opt/gate", DESTDIR=tmp_path)
    service = (tmp_path / "opt/gate/lib/systemd/system/syncgate@.service").read_text()
    assert "ExecStart=/opt/gate/bin/syncgate --config /opt/gate/etc/syncgate/syncgate.yaml\n" in service
    assert (tmp_path / "opt/gate/share/man/man5/syncgate.conf.5").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["opt"], "nothing lies beside the prefix"
    run(tmp_path / "opt/gate/bin/syncgate", "--version")


def test_a_changed_configuration_stays(package, tmp_path):
    config = tmp_path / "usr/etc/syncgate/syncgate.yaml"
    install(tmp_path, "--prefix", tmp_path / "usr")
    config.chmod(0o600)
    config.write_text("workers: 3\n")
    install(tmp_path, "--prefix", tmp_path / "usr")
    assert config.read_text() == "workers: 3\n"


# --- manual pages ---


PAGES = ["man1/syncgate.1.gz", "man5/syncgate.conf.5.gz"]


@tool("mandoc")
@pytest.mark.parametrize("page", PAGES)
def test_mandoc_is_content(unpacked, page):
    assert run("mandoc", "-Tlint", unpacked / "usr/share/man" / page) == ""


@tool("man")
@pytest.mark.parametrize("page", PAGES)
def test_groff_is_content(unpacked, page):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", unpacked / "usr/share/man" / page], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout


def test_the_pages_name_every_option(unpacked):
    table = run(unpacked / "usr/bin/syncgate", "--print-options-markdown")
    flags = run("zcat", unpacked / "usr/share/man" / PAGES[0]).replace("\\-", "-")
    keys = run("zcat", unpacked / "usr/share/man" / PAGES[1])
    rows = re.findall(r"^\| `--([a-z-]+)[^|]*\| `([A-Z_]+)` \| (?:`([a-z_]+)`|-) ", table, re.M)
    assert len(rows) == len(table.splitlines()) - 2
    for flag, variable, key in rows:
        assert re.search(rf"^\.BR --{flag}\b.*\b{variable}$", flags, re.M), flag
        assert not key or re.search(rf"^\.B {key}\b", keys, re.M), key
    assert "@" not in re.sub(r"syncgate@|:password@|\[password@|password@", "", flags + keys), "a placeholder was left"


# --- systemd ---


@pytest.fixture
def units(unpacked, tmp_path):
    """The units of port 8080, with the program where it lies."""
    for kind in ("service", "socket"):
        text = (unpacked / f"usr/lib/systemd/system/syncgate@.{kind}").read_text()
        (tmp_path / f"syncgate@8080.{kind}").write_text(text.replace("/usr/bin/", f"{unpacked}/usr/bin/"))
    return tmp_path


@tool("systemd-analyze")
def test_the_units_are_good(units):
    for kind in ("service", "socket"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(units / f"syncgate@8080.{kind}")],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "syncgate" not in done.stderr, done.stderr


@tool("systemd-analyze")
def test_the_service_is_locked_in(units):
    run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", units / "syncgate@8080.service")


def test_there_is_time_for_a_drain(unpacked):
    """systemd waits longer than a drain takes by default."""
    service = (unpacked / "usr/lib/systemd/system/syncgate@.service").read_text()
    wait_s = int(re.search(r"^TimeoutStopSec=(\d+)s$", service, re.M)[1])
    assert wait_s > default_drain_s(unpacked) + 30


def test_it_runs_as_the_units_say(unpacked, tmp_path):
    """What systemd does: the port from the socket unit, the command and the kind of answers from the service."""
    service = (unpacked / "usr/lib/systemd/system/syncgate@.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", service, re.M)[1].replace("/usr/bin/", f"{unpacked}/usr/bin/")
    command = command.replace("/etc/", f"{unpacked}/etc/") + " --redis="  # a private one instead of the one of the house
    assert "Type=notify\n" in service
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as answers, socket.socket() as port:
        answers.bind(str(tmp_path / "notify"))
        answers.settimeout(gateway_module.PATIENCE_S)
        port.bind(("127.0.0.1", 0))
        port.listen()
        # The shell becomes the program, so its number is the one that the sockets are for.
        process = subprocess.Popen(
            ["bash", "-c", f"exec 3<&{port.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec {command}"], pass_fds=[port.fileno()], cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"},
            stdin=subprocess.DEVNULL)
        try:
            wait_for(answers, "READY=1")
            assert gateway_module.http_get(port.getsockname(), "/healthz").status == 200
            wait_for(answers, "WATCHDOG=1")
            process.send_signal(signal.SIGHUP)
            wait_for(answers, "RELOADING=1")
            wait_for(answers, "READY=1")
            process.send_signal(signal.SIGTERM)
            wait_for(answers, "STOPPING=1")
            assert process.wait(gateway_module.PATIENCE_S) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_for(answers, word):
    while word not in answers.recv(4096).decode().split("\n"):
        pass


def default_drain_s(unpacked):
    printed = run(unpacked / "usr/bin/syncgate", "--print-config")
    match = re.search(r"^drain_seconds: (\d+)$", printed, re.M) or re.search(r"^grace: (\d+)s$", printed, re.M)
    return int(match[1])
