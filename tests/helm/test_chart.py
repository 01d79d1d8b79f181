"""The chart: it renders what Kubernetes and the operator accept, and refuses what cannot work."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from tests.helm.config_schema import SCHEMA, with_config
from tests.helm.crds import closed

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="not installed")
jsonschema = pytest.importorskip("jsonschema", reason="not installed")

CHART = Path(__file__).parents[2] / "helm" / "s2cloud"
PROFILES = ("local", "production", "spot")
VERSIONS = ("1.30", "1.34")
MINIMUM = {
    "config": {"sources": [{"url": "s3://l1c/"}], "destination": {"url": "s3://l2a/products"}},
    "webhook": {"existingSecret": "hook"},
}
CASES = {
    "minimum": {},
    "no cluster": {"cluster": {"mode": "none"}},
    "operator": {"cluster": {"mode": "operator"}},
    "operator of fixed size": {"cluster": {"mode": "operator", "autoscaler": {"enabled": False}}},
    "ingress": {"ingress": {"enabled": True, "host": "s2.example.org", "tlsSecret": "tls"}},
    "keda": {"keda": {"enabled": True, "triggers": [{"type": "aws-sqs-queue", "metadata": {}}]}},
    "credentials": {"credentials": {"existingSecret": "keys"}},
    "egress": {"networkPolicy": {"egress": [{"ports": [{"protocol": "TCP", "port": 443}]}]}},
    "others' objects": {
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-more"},
                "data": {"key": "value"},
            }
        ]
    },
}


def merged(base, more):
    out = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def profile(name):
    return yaml.safe_load((CHART / f"values-{name}.yaml").read_text())


def all_cases():
    cases = dict(CASES) | {name: profile(name) for name in PROFILES}
    cases["spot on production"] = merged(profile("production"), profile("spot"))
    return cases


@pytest.fixture(scope="module")
def chart():
    return helm.Chart.load(str(CHART))


@pytest.fixture(scope="module")
def render(chart):
    def of(values=None, **kw):
        texts = chart.render(merged(MINIMUM, values or {}), name="s2", namespace="eo", **kw)
        objects = [
            each
            for name, text in texts.items()
            if not name.endswith("NOTES.txt")
            for each in yaml.safe_load_all(text)
            if each
        ]
        assert objects
        return objects

    return of


def of_kind(objects, kind, name=""):
    return [o for o in objects if o["kind"] == kind and name in o["metadata"]["name"]]


def pods(objects):
    """Every pod specification, in plain objects and in those of the operator."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["spec"]
        elif each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "DaskCluster":
            yield each["spec"]["worker"]["spec"]
            yield each["spec"]["scheduler"]["spec"]


def test_lint_finds_nothing():
    report = helm.lint(str(CHART), MINIMUM, strict=True)
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("case", all_cases())
def test_kubernetes_accepts_every_object(render, case):
    for each in render(all_cases()[case]):
        group = each["apiVersion"].partition("/")[0]
        if "." in group and not group.endswith("k8s.io"):
            continue  # objects of operators have schemas of their own
        for version in VERSIONS:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("case", ["operator", "operator of fixed size", "production"])
def test_the_dask_operator_accepts_its_objects(render, case):
    pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")
    folder = files("dask_kubernetes") / "operator/deployment/helm/dask-kubernetes-operator/crds"
    crds = {}
    for name in ("daskcluster", "daskautoscaler"):
        crd = yaml.safe_load((folder / f"{name}.yaml").read_text())
        crds[crd["spec"]["names"]["kind"]] = closed(crd)
    found = [each for each in render(all_cases()[case]) if each["kind"] in crds]
    assert found
    for each in found:
        jsonschema.validate(each, crds[each["kind"]])


@pytest.mark.parametrize("case", all_cases())
def test_no_container_may_do_more_than_it_needs(render, case):
    found = list(pods(render(all_cases()[case])))
    assert found
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            writable = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert "/tmp" in writable  # noqa: S108  # a path in a container


@pytest.mark.parametrize("case", all_cases())
def test_names_and_selectors_fit_together(render, case):
    objects = render(all_cases()[case])
    keys = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(keys) == len(set(keys))
    assert all(len(name) <= 63 for _, name in keys)
    for deployment in of_kind(objects, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    plain = [d["spec"]["template"]["metadata"]["labels"] for d in of_kind(objects, "Deployment")]
    for service in of_kind(objects, "Service"):
        assert any(service["spec"]["selector"].items() <= labels.items() for labels in plain)


def test_the_service_is_told_where_the_scheduler_is(render):
    def settings(**cluster):
        (found,) = of_kind(render({"cluster": cluster}), "ConfigMap", "settings")
        return yaml.safe_load(found["data"]["settings.yaml"])

    static = settings(mode="static")
    assert static["cluster"] == {
        "kind": "address",
        "address": "tcp://s2-s2cloud-dask-scheduler:8786",
    }
    assert static["http"]["secret_file"] == "/etc/s2cloud/webhook/secret"
    assert settings(mode="none")["cluster"] == {"kind": "threads"}
    services = of_kind(render({"cluster": {"mode": "static"}}), "Service", "dask-scheduler")
    assert [service["metadata"]["name"] for service in services] == ["s2-s2cloud-dask-scheduler"]


def test_new_settings_make_new_pods_and_others_do_not(render):
    def mark(values):
        (serve,) = [
            d
            for d in of_kind(render(values), "Deployment")
            if d["metadata"]["labels"]["app.kubernetes.io/component"] == "serve"
        ]
        return serve["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]

    assert mark({}) == mark({"serve": {"replicas": 7}})
    assert mark({}) != mark({"config": {"formats": ["zarr"]}})


def test_secrets_of_the_store_reach_service_and_workers_only(render):
    objects = render({"credentials": {"existingSecret": "keys"}})
    with_keys = {
        d["metadata"]["labels"]["app.kubernetes.io/component"]
        for d in of_kind(objects, "Deployment")
        for c in d["spec"]["template"]["spec"]["containers"]
        if {"secretRef": {"name": "keys"}} in c.get("envFrom", [])
    }
    assert with_keys == {"serve", "worker"}


def test_spot_keeps_scheduler_and_service_off_spot_nodes(render):
    objects = render(merged(profile("production"), profile("spot")))
    (cluster,) = of_kind(objects, "DaskCluster")
    (serve,) = of_kind(objects, "Deployment")
    assert cluster["spec"]["worker"]["spec"]["nodeSelector"] == {"node.s2cloud.io/capacity": "spot"}
    for pod in (cluster["spec"]["scheduler"]["spec"], serve["spec"]["template"]["spec"]):
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (match,) = terms["nodeSelectorTerms"][0]["matchExpressions"]
        assert match == {
            "key": "node.s2cloud.io/capacity",
            "operator": "NotIn",
            "values": ["spot"],
        }


def test_keda_alone_decides_on_replicas(render):
    objects = render(CASES["keda"])
    assert of_kind(objects, "ScaledObject")
    serve = [d for d in of_kind(objects, "Deployment") if "dask" not in d["metadata"]["name"]]
    assert "replicas" not in serve[0]["spec"]


def test_only_events_are_reachable_from_outside(render):
    (ingress,) = of_kind(render(CASES["ingress"]), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/events"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"config": {"sources": []}}, "config.sources is empty"),
        ({"config": {"destination": {"url": ""}}}, "config.destination.url is empty"),
        ({"config": {"cluster": {"kind": "threads"}}}, "config.cluster is set by the chart"),
        ({"webhook": {"existingSecret": ""}}, "create a Secret with the key `secret`"),
        (
            {"config": {"http": {"authentication": "none"}}, "ingress": {"enabled": True}},
            "would let anyone start jobs",
        ),
        ({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.host"),
        ({"keda": {"enabled": True}}, "keda.enabled needs keda.triggers"),
        (
            {"cluster": {"mode": "operator", "autoscaler": {"minimum": 5, "maximum": 2}}},
            "minimum 5 is above maximum 2",
        ),
        ({"cluster": {"mode": "yarn"}}, "mode"),
        ({"serve": {"replica": 3}}, "replica"),
        ({"config": {"http": {"port": 80}}}, "port"),
        ({"config": {"format": ["cog"]}}, "format"),
        ({"config": {"jobs": {"attempts": 0}}}, "attempts"),
        ({"config": {"processing": {"aerosol": {"methods": "x"}}}}, "methods"),
        ({"config": {"queues": [{"kind": "sqs"}]}}, "queues"),
    ],
)
def test_values_that_cannot_work_are_refused(render, values, told):
    with pytest.raises(helm.HelmError, match=told):
        render(values)


def test_notes_tell_where_to_send_events(chart):
    texts = chart.render(merged(MINIMUM, CASES["ingress"]), name="s2", namespace="eo")
    (notes,) = [text for name, text in texts.items() if name.endswith("NOTES.txt")]
    assert "https://s2.example.org/events" in notes
    assert "helm -n eo test s2" in notes


def test_every_value_is_in_the_schema_and_the_other_way_round():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(value, node, where):
        if not isinstance(value, dict) or "properties" not in node:
            return
        assert set(value) <= set(node["properties"]), where
        if node.get("additionalProperties") is False and where != ".config":
            missing = set(node["properties"]) - set(value) - {"global", "claims", "options"}
            assert not missing - {"minAvailable", "url", "interval"}, (where, missing)
        for key, inner in value.items():
            compare(inner, node["properties"][key], f"{where}.{key}")

    compare(values, schema, "")


def test_config_is_checked_by_the_schema_of_the_service():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == with_config(schema), "run: python tests/helm/config_schema.py"


def test_alerts_and_dashboard_ask_for_metrics_that_exist(render):
    metrics = pytest.importorskip("prometheus_client", reason="not installed")
    from s2cloud.scheduling.observe import BatchMetrics  # noqa: PLC0415

    told = metrics.generate_latest(BatchMetrics().registry).decode()
    known = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    objects = render(profile("production"))
    (rule,) = of_kind(objects, "PrometheusRule")
    (board,) = of_kind(objects, "ConfigMap", "dashboard")
    panels = json.loads(board["data"]["s2cloud.json"])["panels"]
    asked = [alert["expr"] for group in rule["spec"]["groups"] for alert in group["rules"]]
    asked += [target["expr"] for panel in panels for target in panel["targets"]]
    names = {name for expr in asked for name in re.findall(r"s2cloud_\w+", expr)}
    assert len(names) >= 6
    assert names <= known


#: Minutes of samples, and the alerts that fire at the end of them.
ALARMS = {
    "S2cloudProductsFail": {'s2cloud_products{state="failed"}': "0x25 1x5"},
    "S2cloudProductsWaitLong": {"s2cloud_queue_age_seconds": "4000x30"},
    "S2cloudManyRetries": {"s2cloud_retries": "0+3x30"},
    "S2cloudWithoutWorkers": {
        "s2cloud_workers": "0x30",
        's2cloud_products{state="waiting"}': "3x30",
    },
    "S2cloudMemoryBeyondProjection": {
        "s2cloud_memory_bytes": "20e9x30",
        "s2cloud_projected_memory_bytes": "10e9x30",
        's2cloud_products{state="running"}': "1x30",
    },
    "": {
        's2cloud_products{state="failed"}': "3x30",
        's2cloud_products{state="running"}': "1x30",
        "s2cloud_queue_age_seconds": "600x30",
        "s2cloud_retries": "7x30",
        "s2cloud_workers": "2x30",
        "s2cloud_memory_bytes": "12e9x30",
        "s2cloud_projected_memory_bytes": "10e9x30",
    },
}


@pytest.mark.parametrize("alarm", ALARMS)
def test_alerts_fire_when_they_should_and_only_then(render, tmp_path, alarm):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: .ci/brokers installs it")
    (rule,) = of_kind(render(profile("production")), "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    alerts = {each["alert"]: each for each in rule["spec"]["groups"][0]["rules"]}
    assert set(ALARMS) == {*alerts, ""}

    def expected(name):
        alert = alerts[name]
        return [{"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]}]

    samples = [{"series": name, "values": text} for name, text in ALARMS[alarm].items()]
    test = {
        "interval": "1m",
        "input_series": samples,
        "alert_rule_test": [
            {
                "eval_time": "29m",
                "alertname": name,
                "exp_alerts": expected(name) if name == alarm else [],
            }
            for name in alerts
        ],
    }
    file = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(file))
    done = subprocess.run(  # noqa: S603
        [promtool, "test", "rules", str(tmp_path / "tests.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
