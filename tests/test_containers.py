"""launch/k8s_jobset.yaml and launch/Dockerfile, as far as they can be held right without either.

The fields are those of JobSet v1alpha2, batch/v1 and core/v1 that the file may use: a misspelt one
is found, types and limits of the values are the cluster's to check (`--dry-run=server`).
"""

import math
import re
import subprocess

import pytest
import runs
import yaml

JOBSET = runs.ROOT / "launch/k8s_jobset.yaml"
DOCKERFILE = runs.ROOT / "launch/Dockerfile"
# By the name of the field that holds them, or of the list whose items they are.
FIELDS = {
    "": "apiVersion kind metadata spec",
    "JobSet.spec": "coordinator failurePolicy network replicatedJobs startupPolicy successPolicy"
    " suspend ttlSecondsAfterFinished",
    "failurePolicy": "maxRestarts restartStrategy rules",
    "replicatedJobs": "name replicas template dependsOn groupName",
    "template": "metadata spec",
    "Job.spec": "activeDeadlineSeconds backoffLimit completionMode completions parallelism"
    " podFailurePolicy suspend template ttlSecondsAfterFinished",
    "Pod.spec": "containers dnsPolicy hostNetwork initContainers nodeSelector restartPolicy"
    " serviceAccountName terminationGracePeriodSeconds tolerations volumes",
    "containers": "args command env image imagePullPolicy name ports resources securityContext"
    " volumeMounts workingDir",
    "env": "name value valueFrom",
    "ports": "containerPort hostPort name protocol",
    "resources": "limits requests",
    "volumeMounts": "mountPath name readOnly subPath",
    "volumes": "configMap emptyDir name persistentVolumeClaim secret",
    "persistentVolumeClaim": "claimName readOnly",
}
# Hosts' chips, by the machines of the accelerator.
CHIPS_A_HOST = 4


@pytest.fixture
def jobset():
    return yaml.safe_load(JOBSET.read_text())


def unknown(node, field="", depth=()) -> list[str]:
    """Paths of what the API does not have."""
    if isinstance(node, list):
        return [path for item in node for path in unknown(item, field, depth)]
    if not isinstance(node, dict) or field in ("metadata", "nodeSelector", "limits", "requests"):
        return []
    key = field
    if field == "spec":
        key = f"{('JobSet', 'Job', 'Pod')[depth.count('spec') - 1]}.spec"
    found = [".".join((*depth, name)) for name in node if name not in FIELDS[key].split()]
    below = [name for name in node if name == "spec" or name in FIELDS]
    return found + [path for n in below for path in unknown(node[n], n, (*depth, n))]


def parts(jobset):
    (job,) = jobset["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    return job["template"]["spec"], pod, pod["containers"][0]


def test_every_field_is_one_of_the_api(jobset):
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert unknown(jobset) == []
    parts(jobset)[2]["imag"] = ""
    assert unknown(jobset) == ["spec.replicatedJobs.template.spec.template.spec.containers.imag"]


def test_its_numbers_fit_one_another(jobset):
    job, pod, container = parts(jobset)
    chips = math.prod(map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")))
    assert job["parallelism"] == job["completions"] == chips // CHIPS_A_HOST
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"]["google.com/tpu"] == CHIPS_A_HOST
    # A pod that fails fails the job; the JobSet starts all again.
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    assert pod["restartPolicy"] == "Never" and jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    assert {"name": "JAX_COORDINATOR_ADDRESS", "value": "auto"} in container["env"]
    texts = [*pod["nodeSelector"].values(), *(e["value"] for e in container["env"])]
    assert all(isinstance(text, str) for text in [*texts, *container["args"]])
    assert [m["name"] for m in container["volumeMounts"]] == [v["name"] for v in pod["volumes"]]
    (workdir,) = [a for a in container["args"] if a.startswith("--workdir=")]
    assert workdir.startswith(f"--workdir={container['volumeMounts'][0]['mountPath']}/")
    (config,) = [a for a in container["args"] if a.startswith("--config=")]
    assert (runs.ROOT / config.partition("=")[2].partition(":")[0]).exists()


@pytest.mark.parametrize(
    ("does", "signal", "code"),
    [("exit 0", "", 0), ("exit 2", "", 2), ("wait", "TERM", 143)],
)
def test_a_pod_that_was_told_to_stop_fails(jobset, tmp_path, does, signal, code):
    """jsr.main saves and ends by 0 then, which Kubernetes would take for the job done."""
    container = parts(jobset)[2]
    python = tmp_path / "python"
    body = f"trap 'exit 0' TERM\necho \"$*\"\nsleep 30 > /dev/null & {does}"
    python.write_text(f"#!/bin/bash\n{body}\n")
    python.chmod(0o755)
    process = subprocess.Popen(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == f"-m jsr.main {' '.join(container['args'])}\n"
    if signal:
        process.terminate()
    assert process.wait(30) == code
    process.stdout.close()


def test_the_dockerfile_copies_what_is_there_and_all_that_the_package_needs():
    lines = re.sub(r"\\\n", " ", DOCKERFILE.read_text()).splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    known = {"FROM", "ARG", "WORKDIR", "ENV", "COPY", "RUN", "ENTRYPOINT"}
    assert {line.split()[0] for line in lines} == known
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    for name in copied:
        assert (runs.ROOT / name).exists(), name
    assert {"jsr", "configs", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)
    (base,) = [line.split()[1] for line in lines if line.startswith("FROM")]
    project = (runs.ROOT / "pyproject.toml").read_text()
    assert base == "python:3.12-slim" and 'requires-python = ">=3.11,<3.14"' in project
    assert "ARG EXTRA=gpu" in lines
    assert all(f"\n{extra} = [" in project for extra in ("gpu", "tpu"))
