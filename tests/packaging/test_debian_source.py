"""deploy/debian-source against small archives of our own, in the states that Debian's mirrors are in after a security update."""
import gzip
import hashlib
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "deploy/debian-source"

pytestmark = [pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here") for name in ("gpg", "apt-get")]

MAIN, SECURITY = "debian", "debian-security"
SUITES = {MAIN: "trixie", SECURITY: "trixie-security"}
LABELS = {MAIN: "Debian", SECURITY: "Debian-Security"}
POOLS = {MAIN: "pool/main", SECURITY: "pool/updates/main"}


class Signer:
    """A throw-away key."""

    def __init__(self, name):
        self.home = tempfile.mkdtemp(prefix="gpg.")  # short: a socket lies in it
        self.keyring = pathlib.Path(self.home) / "public.gpg"
        self._gpg("--passphrase", "", "--quick-generate-key", f"{name}@example.org", "rsa2048", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))

    def _gpg(self, *arguments, text=b""):
        return subprocess.run(["gpg", "--homedir", self.home, "--batch", "--quiet", *arguments], input=text, check=True,
                              capture_output=True, timeout=60).stdout

    def sign(self, text):
        return self._gpg("--clearsign", text=text)

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False, timeout=60)
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def debian():
    signer = Signer("debian")
    yield signer
    signer.close()


@pytest.fixture(scope="module")
def stranger():
    signer = Signer("stranger")
    yield signer
    signer.close()


class Package:
    """A source package: the names of its files and what is in them."""

    def __init__(self, name, upstream, old, new, newest):
        self.name, self.upstream = name, upstream
        self.old, self.new, self.newest = (f"{upstream}-{revision}" for revision in (old, new, newest))
        self.tarball = f"{name}_{upstream}.orig.tar.gz"

    def patches(self, version):
        return f"{self.name}_{version}.debian.tar.xz"

    def content(self, file):
        return f"what is in {file}\n".encode()

    def sum(self, file):
        return hashlib.sha256(self.content(file)).hexdigest()

    def folder(self, site):
        return f"{POOLS[site]}/{self.name[:4] if self.name.startswith('lib') else self.name[0]}/{self.name}"

    def stanza(self, site, version):
        files = "".join(f"\n {self.sum(file)} {len(self.content(file))} {file}"
                        for file in (f"{self.name}_{version}.dsc", self.tarball, self.patches(version)))
        return (f"Package: {self.name}\nBinary: {self.name}\nVersion: {version}\nFormat: 3.0 (quilt)\n"
                f"Directory: {self.folder(site)}\nChecksums-Sha256:{files}\nArchitecture: any\n\n")


@pytest.fixture(params=["libwebsockets", "hiredis"])
def package(request):
    """`old` and `new` are pinned; `newest` is not."""
    if request.param == "libwebsockets":
        return Package("libwebsockets", "4.3.5", "1+deb13u9", "1+deb13u10", "1+deb13u11")
    return Package("hiredis", "1.2.0", "6", "6+deb13u1", "6+deb13u2")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


class Mirror:
    """The two archives, and a machine that takes its packages from them."""

    def __init__(self, folder, package, signer):
        self.folder, self.package, self.signer = folder, package, signer
        self.www, self.machine, self.target = folder / "www", folder / "machine", folder / "target"
        for path in (self.www / MAIN, self.www / SECURITY, self.machine / "lists/partial", self.machine / "empty", self.target,
                     self.machine / "cache/archives/partial", self.machine / "sources"):
            path.mkdir(parents=True)
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *arguments: QuietHandler(*arguments, directory=str(self.www)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        (self.machine / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in {
            "Dir::Etc::main": "/dev/null", "Dir::Etc::parts": self.machine / "empty",
            "Dir::Etc::sourcelist": self.machine / "sources.list", "Dir::Etc::sourceparts": self.machine / "sources",
            "Dir::State::lists": self.machine / "lists", "Dir::Cache": self.machine / "cache", "APT::Sandbox::User": "root",
        }.items()))
        self.sources(f"deb {self.url}/{MAIN} bookworm main\ndeb {self.url}/{SECURITY} bookworm-security main\n")
        self.pins(package.tarball, package.patches(package.new), package.patches(package.old))
        self.architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def sources(self, text, name="sources.list"):
        (self.machine / name).write_text(text)

    def pins(self, *files):
        (self.folder / "pins").write_text("# a remark\n" + "".join(f"{self.package.sum(file)}  {file}\n" for file in files))

    def index(self, site, *versions, suite=None, signer=None, signed=True, kind="source/Sources", path=None):
        """The site's index names these versions."""
        suite = suite or SUITES[site]
        text = "".join(self.package.stanza(site, version) for version in versions).encode()
        dists = self.www / (path or site) / "dists" / suite
        (dists / "main" / kind).parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(text)
        (dists / "main" / f"{kind}.gz").write_bytes(packed)
        (dists / "main" / kind).write_bytes(text)
        release = (f"Origin: Debian\nLabel: {LABELS[site]}\nSuite: {suite}\nCodename: {suite}\nComponents: main\n"
                   f"Architectures: {self.architecture}\nDate: Sat, 01 Aug 2026 00:00:00 UTC\nSHA256:\n"
                   f" {hashlib.sha256(packed).hexdigest()} {len(packed)} main/{kind}.gz\n"
                   f" {hashlib.sha256(text).hexdigest()} {len(text)} main/{kind}\n").encode()
        if signed:
            (dists / "InRelease").write_bytes((signer or self.signer).sign(release))
        else:
            (dists / "Release").write_bytes(release)

    def pool(self, site, *files, content=None, path=None):
        """The site's pool has these files."""
        folder = self.www / (path or site) / self.package.folder(site)
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file).write_bytes(content or self.package.content(file))

    def environment(self):
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        return {**kept, "APT_CONFIG": str(self.machine / "apt.conf")}

    def update(self):
        """apt-get update of the machine itself."""
        subprocess.run(["apt-get", "-qq", "update"], env=self.environment(), check=True, timeout=120)

    def run(self, *command, **options):
        command = command or (PROGRAM,)
        return subprocess.run([*command, "--pins", self.folder / "pins", "--keyring", self.signer.keyring, self.package.name],
                              cwd=self.target, env=self.environment(), capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, **options)

    def taken(self, version, *command, **options):
        """The tarball and the patches of this version are what one gets; what was said about them."""
        done = self.run(*command, **options)
        assert done.returncode == 0, done.stderr
        files = [self.package.tarball, self.package.patches(version)]
        assert done.stdout.splitlines() == files
        assert sorted(path.name for path in self.target.iterdir()) == sorted(files)
        for file in files:
            assert (self.target / file).read_bytes() == self.package.content(file)
        return done.stderr

    def refused(self):
        """Nothing is taken, and one sentence says so."""
        done = self.run()
        assert done.returncode == 1
        assert done.stdout == ""
        said = [line for line in done.stderr.splitlines() if " from http" not in line]
        assert len(said) == 1, done.stderr
        return said[0]


@pytest.fixture
def mirror(tmp_path, package, debian):
    made = Mirror(tmp_path, package, debian)
    yield made
    made.close()


def both_indexes(mirror, main=(), security=()):
    mirror.index(MAIN, *main)
    mirror.index(SECURITY, *security)


def test_all_agree(mirror, package):
    both_indexes(mirror, [package.new])
    mirror.pool(MAIN, package.tarball, package.patches(package.new))
    said = mirror.taken(package.new)
    for file in (package.tarball, package.patches(package.new)):
        assert f"{file} from {mirror.url}/{MAIN}/{package.folder(MAIN)} (its sum is pinned)\n" in said
    assert "note" not in said


def test_index_ahead_of_the_pool(mirror, package):
    both_indexes(mirror, [package.new], [package.new])
    mirror.pool(MAIN, package.tarball, package.patches(package.old))
    said = mirror.taken(package.old)
    assert f"note: that is not the newest, which no pool has: {package.patches(package.new)}\n" in said


def test_index_ahead_of_the_pool_and_security_has_it(mirror, package):
    both_indexes(mirror, [package.new], [package.new])
    mirror.pool(MAIN, package.tarball, package.patches(package.old))
    mirror.pool(SECURITY, package.patches(package.new))
    said = mirror.taken(package.new)
    assert f"{package.tarball} from {mirror.url}/{MAIN}/" in said
    assert f"{package.patches(package.new)} from {mirror.url}/{SECURITY}/{package.folder(SECURITY)} " in said


def test_pool_ahead_of_the_index(mirror, package):
    both_indexes(mirror, [package.old])
    mirror.pool(MAIN, package.tarball, package.patches(package.new))
    mirror.taken(package.new)


def test_security_only(mirror, package):
    mirror.index(SECURITY, package.newest)
    mirror.pool(SECURITY, package.tarball, package.patches(package.newest))
    said = mirror.taken(package.newest)
    assert f"{package.patches(package.newest)} from {mirror.url}/{SECURITY}/" in said
    assert "(not pinned; Debian's signature is good)\n" in said
    assert "note: no index with a good signature of trixie: " in said


def test_security_alone_knows_newer_patches(mirror, package):
    both_indexes(mirror, [package.new], [package.newest])
    mirror.pool(MAIN, package.tarball, package.patches(package.new))
    mirror.pool(SECURITY, package.patches(package.newest))
    assert "Debian's signature is good" in mirror.taken(package.newest)


def test_a_folder_that_only_the_index_knows(mirror, package, monkeypatch):
    monkeypatch.setattr(package, "folder", lambda site: f"pool/elsewhere/{site}")
    both_indexes(mirror, [package.new])
    mirror.pool(MAIN, package.tarball, package.patches(package.new))
    mirror.taken(package.new)


def test_no_index_at_all(mirror, package):
    mirror.pool(MAIN, package.tarball)
    mirror.pool(SECURITY, package.patches(package.new))
    assert "note: no index with a good signature of trixie and trixie-security: " in mirror.taken(package.new)


def test_a_bad_sum_is_passed_over(mirror, package):
    both_indexes(mirror, [package.new])
    mirror.pool(MAIN, package.tarball)
    mirror.pool(MAIN, package.patches(package.new), content=b"something else\n")
    mirror.pool(SECURITY, package.patches(package.new))
    assert f"{package.patches(package.new)} from {mirror.url}/{SECURITY}/" in mirror.taken(package.new)


def test_a_bad_sum_is_refused(mirror, package):
    both_indexes(mirror, [package.new])
    mirror.pool(MAIN, package.tarball, content=b"something else\n")
    mirror.pool(MAIN, package.patches(package.new))
    said = mirror.refused()
    assert f"found nowhere: {package.tarball}; " in said and "Hash Sum mismatch" in said
    assert not (mirror.target / package.tarball).exists()


@pytest.mark.parametrize("how", ["unsigned", "a stranger's signature"])
def test_what_nobody_vouches_for_is_refused(mirror, package, stranger, how):
    mirror.index(MAIN, package.newest, signed=how != "unsigned", signer=stranger)
    mirror.index(SECURITY, package.newest, signed=how != "unsigned", signer=stranger)
    mirror.pool(MAIN, package.tarball, package.patches(package.newest))
    said = mirror.refused()
    assert "no index with a good signature of trixie and trixie-security; " in said
    mirror.pool(MAIN, package.patches(package.old))
    mirror.taken(package.old)


def test_a_machine_that_trusts_all(mirror, package):
    """What the machine's configuration lets pass for its packages is not let pass here."""
    with open(mirror.machine / "apt.conf", "a") as conf:
        conf.write('Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n')
    mirror.sources(f"deb [trusted=yes] {mirror.url}/{MAIN} bookworm main\n")
    mirror.index(MAIN, package.newest, signed=False)
    mirror.pool(MAIN, package.tarball, package.patches(package.newest))
    mirror.refused()


def test_nothing_anywhere(mirror, package):
    both_indexes(mirror, [package.new], [package.newest])
    said = mirror.refused()
    wanted = " or ".join(package.patches(version) for version in (package.newest, package.new, package.old))
    wanted = wanted.replace(" or ", ", ", 1)
    assert f"found nowhere: {package.tarball} and any of {wanted}; " in said
    for site in (MAIN, SECURITY):
        assert f"{mirror.url}/{site}/{package.folder(site)}" in said
    assert "; the answers were: 404 " in said
    assert said.endswith("try again later, or name another mirror in /etc/apt/sources.list")


def test_no_site_at_all(mirror):
    mirror.sources("")
    assert "apt names no address for Debian packages" in mirror.refused()


# --- which sites the machine names ---


def test_a_machine_that_names_the_main_archive_alone(mirror, package):
    """As debootstrap leaves it; the security archive lies beside."""
    mirror.sources(f"deb {mirror.url}/{MAIN} bookworm main\n")
    both_indexes(mirror, [package.old], [package.new])
    mirror.pool(MAIN, package.tarball)
    mirror.pool(SECURITY, package.patches(package.new))
    mirror.taken(package.new)


def test_sources_in_the_other_form(mirror, package):
    mirror.sources("")
    mirror.sources("".join(f"Types: deb\nURIs: {mirror.url}/{site}/\nSuites: {suite}\nComponents: main\n\n" for site, suite in
                           ((MAIN, "bookworm bookworm-updates"), (SECURITY, "bookworm-security"))), "sources/debian.sources")
    mirror.pool(MAIN, package.tarball)
    mirror.pool(SECURITY, package.patches(package.new))
    mirror.taken(package.new)


def test_sites_are_known_by_their_labels(mirror, package, debian):
    """Their addresses say nothing."""
    suites = {"alpha": (MAIN, "bookworm"), "beta": (SECURITY, "bookworm-security")}
    mirror.sources("".join(f"deb [signed-by={debian.keyring}] {mirror.url}/{path} {suite} main\n"
                           for path, (_, suite) in suites.items()))
    for path, (site, suite) in suites.items():
        mirror.index(site, package.old, suite=suite, path=path, kind=f"binary-{mirror.architecture}/Packages")
    mirror.update()
    mirror.pool(MAIN, package.tarball, path="alpha")
    mirror.pool(SECURITY, package.patches(package.newest), path="beta")
    mirror.index(SECURITY, package.newest, path="beta")
    mirror.taken(package.newest)


def test_a_list_of_mirrors(mirror, package):
    """As in Debian's images for clouds."""
    listed = mirror.machine / "mirrors.list"
    listed.write_text(f"# ours\n{mirror.url}/{MAIN}\tpriority:1\n")
    mirror.sources(f"deb mirror+file:{listed} bookworm main\n")
    mirror.pool(MAIN, package.tarball)
    mirror.pool(SECURITY, package.patches(package.new))
    mirror.taken(package.new)


def test_a_password_is_not_said(mirror, package):
    mirror.sources(f"deb {mirror.url.replace('//', '//me:secret@')}/{MAIN} bookworm main\n")
    assert "secret" not in mirror.refused()
    mirror.pool(MAIN, package.tarball, package.patches(package.new))
    assert "secret" not in mirror.taken(package.new)


@pytest.mark.skipif(os.geteuid() != 0, reason="is not root anyway")
def test_as_a_user(package, debian):
    with tempfile.TemporaryDirectory(prefix="syncgate-user.") as folder:
        folder = pathlib.Path(folder)
        mirror = Mirror(folder, package, debian)
        try:
            both_indexes(mirror, [package.new], [package.newest])
            mirror.pool(MAIN, package.tarball)
            mirror.pool(SECURITY, package.patches(package.newest))
            shutil.copy(PROGRAM, folder / "debian-source")  # the tree may lie where only root looks
            for path in (folder, mirror.target):
                os.chown(path, 65534, 65534)
            os.chmod(pathlib.Path(debian.home), 0o755)
            mirror.taken(package.newest, folder / "debian-source", user=65534, group=65534, extra_groups=[])
        finally:
            mirror.close()


# --- what is pinned ---


@pytest.mark.parametrize("name", ["libwebsockets", "hiredis"])
def test_the_pins(name):
    lines = [line.split() for line in (ROOT / "deploy/debian-source.sha256").read_text().splitlines() if not line.startswith("#")]
    files = [file for _, file in lines if file.startswith(f"{name}_")]
    tarball, = [file for file in files if ".orig.tar." in file]
    patches = [file for file in files if ".debian.tar." in file]
    assert patches and all(file.startswith(tarball.split(".orig.")[0] + "-") for file in patches)
    assert len(files) == len(patches) + 1
