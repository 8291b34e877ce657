"""deploy/kubernetes: every manifest by the schemas of Kubernetes, and whether they agree with each other, with the image and with
the program. No cluster is needed; npm brings the schemas (tests/kubernetes)."""
import copy
import hashlib
import json
import re
import shutil
import subprocess

import pytest
import yaml

from gateway import BINARY, REPOSITORY

FOLDER = REPOSITORY / "deploy/kubernetes"
TOOLS = REPOSITORY / "tests/kubernetes"
NO_SCHEMA = {"Kustomization", "ServiceMonitor"}  # no kinds of Kubernetes itself


def load(name):
    (document,) = yaml.safe_load_all((FOLDER / name).read_text())
    return document


KUSTOMIZATION = load("kustomization.yaml")
FILES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "syncgate.yaml")
OBJECTS = {load(name)["kind"]: load(name) for name in FILES}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
CONTAINER, = POD["containers"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]


@pytest.fixture(scope="module", name="validate")
def _validate():
    """validate(objects): a list of problems for each, None for one of an unknown kind."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js and npm are not installed")
    lock = hashlib.sha256((TOOLS / "package-lock.json").read_bytes()).hexdigest()
    stamp = TOOLS / "node_modules/.lock"
    if not stamp.exists() or stamp.read_text() != lock:
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=TOOLS, check=True, capture_output=True, timeout=150)
        stamp.write_text(lock)

    def ask(objects):
        done = subprocess.run(["node", "validate.js"], cwd=TOOLS, input=json.dumps(objects), capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return ask


def test_every_manifest_by_its_schema(validate):
    objects = [load(name) for name in FILES]
    for name, thing, problems in zip(FILES, objects, validate(objects)):
        assert problems == (None if thing["kind"] in NO_SCHEMA else []), f"{name}: {problems}"


def changed(kind, path, value):
    thing = copy.deepcopy(OBJECTS[kind])
    *way, last = path
    at = thing
    for step in way:
        at = at[step]
    at[last] = value
    return thing


def test_the_check_sees_what_is_wrong(validate):
    wrong = [
        changed("Deployment", ["spec", "replicas"], "three"),
        changed("Deployment", ["spec", "template", "spec", "containers", 0, "livenesProbe"], {}),
        changed("Service", ["spec", "ports", 0, "port"], None),
        changed("HorizontalPodAutoscaler", ["spec", "behavior", "scaleDown", "policy"], []),
        changed("NetworkPolicy", ["spec", "egress", 0, "to", 0, "podSelector", "matchLabel"], {}),
        changed("Ingress", ["spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "name"], 80),
    ]
    for problems in validate(wrong):
        assert problems, wrong


def test_kustomization_names_every_file():
    text = (FOLDER / "kustomization.yaml").read_text()
    for name in FILES:
        if name != "kustomization.yaml":
            assert re.search(rf"^  (# )?- {re.escape(name)}$", text, re.MULTILINE), f"{name} is not in kustomization.yaml"
    for name in KUSTOMIZATION["resources"]:
        assert (FOLDER / name).exists()
    (image,) = KUSTOMIZATION["images"]
    assert image["name"] == CONTAINER["image"] and image["newTag"] != "latest"
    generated = {each["name"] for each in KUSTOMIZATION["configMapGenerator"] + KUSTOMIZATION["secretGenerator"]}
    assert generated == {CONTAINER["envFrom"][0]["configMapRef"]["name"], POD["volumes"][0]["secret"]["secretName"]}
    assert KUSTOMIZATION["namespace"] == OBJECTS["Namespace"]["metadata"]["name"]


def test_they_mean_the_same_pods():
    selectors = [DEPLOYMENT["selector"]["matchLabels"], OBJECTS["Service"]["spec"]["selector"],
                 OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                 OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
                 *(each["labelSelector"]["matchLabels"] for each in POD["topologySpreadConstraints"])]
    assert all(selector == LABELS for selector in selectors), selectors
    target = OBJECTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", OBJECTS["Deployment"]["metadata"]["name"])
    (port,) = CONTAINER["ports"]
    (service_port,) = OBJECTS["Service"]["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]
    for path in OBJECTS["Ingress"]["spec"]["rules"][0]["http"]["paths"]:
        service = path["backend"]["service"]
        assert (service["name"], service["port"]["name"]) == (OBJECTS["Service"]["metadata"]["name"], service_port["name"])
        assert not re.match(r"/(metrics|admin|$)", path["path"])
    for rule in OBJECTS["NetworkPolicy"]["spec"]["ingress"]:
        assert [each["port"] for each in rule["ports"]] == [port["name"]]
    monitor = OBJECTS["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= OBJECTS["Service"]["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service_port["name"]


def test_sealed():
    """What the namespace's standard (restricted) demands, and what the image offers."""
    pod, own = POD["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True and pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    dockerfile = (REPOSITORY / "docker/Dockerfile").read_text()
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}\n" in dockerfile
    assert f"EXPOSE {CONTAINER['ports'][0]['containerPort']}\n" in dockerfile


def options_env():
    lines = (FOLDER / "options.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def run(*flags, **env):
    done = subprocess.run([BINARY, *flags], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_understands_its_configuration():
    env = options_env()
    table = run("--print-options-markdown")
    for name in env:
        assert f"| `{name}` |" in table, f"{name} is no option"
    mounted, = CONTAINER["volumeMounts"]
    (generated,) = KUSTOMIZATION["secretGenerator"]
    assert env["SYNCGATE_CONFIG"] in [f"{mounted['mountPath']}/{name}" for name in generated["files"]]
    env["SYNCGATE_CONFIG"] = str(FOLDER / "syncgate.yaml")
    said = yaml.safe_load(run("--print-config", **env))
    assert said["listen"] == [f"0.0.0.0:{CONTAINER['ports'][0]['containerPort']}"]
    assert "anonymous" in said and "tokens" in said


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(m?s|)", text).groups()
    return int(number) / (1000 if unit == "ms" else 1)


def test_there_is_time_to_drain():
    env = options_env()
    drain = seconds(env["SYNCGATE_DRAIN_DELAY"]) + seconds(env["SYNCGATE_DRAIN_SECONDS"])
    assert drain + 11 < POD["terminationGracePeriodSeconds"], "docs/running.md: 11 s for calls and handshakes"
    probe = CONTAINER["readinessProbe"]
    assert seconds(env["SYNCGATE_DRAIN_DELAY"]) > probe["periodSeconds"] * probe["failureThreshold"], (
        "it stops to listen before it is known that it will")


def test_probes_are_answered(gateways):
    gateway = gateways.start()
    paths = {CONTAINER[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"/healthz", "/readyz"}
    for path in paths | {"/syncgate.js", OBJECTS["ServiceMonitor"]["spec"]["endpoints"][0]["path"]}:
        assert gateway.get(path).status == 200, path
