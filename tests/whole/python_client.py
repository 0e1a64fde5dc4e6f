"""What a Python program does with the API: custom objects, core objects, watches, errors."""

import threading

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
objects, core = client.CustomObjectsApi(), client.CoreV1Api()
where = dict(group="fission.io", version="v1", namespace="default", plural="environments")
environment = {
    "apiVersion": "fission.io/v1",
    "kind": "Environment",
    "metadata": {"name": "py"},
    "spec": {"version": 3, "poolsize": 0, "runtime": {"image": "fission/python-env"}},
}

seen = []


def follow():
    for event in watch.Watch().stream(objects.list_namespaced_custom_object, timeout_seconds=20, **where):
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if event["type"] == "DELETED":
            return


follower = threading.Thread(target=follow)
follower.start()
created = objects.create_namespaced_custom_object(body=environment, **where)
assert created["metadata"]["uid"], created
patched = objects.patch_namespaced_custom_object(name="py", body={"spec": {"poolsize": 2}}, **where)
assert patched["spec"]["poolsize"] == 2 and patched["metadata"]["generation"] == 2, patched
try:
    objects.create_namespaced_custom_object(body=environment, **where)
    raise AssertionError("a second object of the same name was created")
except ApiException as error:
    assert error.status == 409, error
try:
    broken = {**environment, "metadata": {"name": "broken"}, "spec": {"version": "x", "runtime": {"image": "i"}}}
    objects.create_namespaced_custom_object(body=broken, **where)
    raise AssertionError("an object of the wrong type was created")
except ApiException as error:
    assert error.status in (400, 422) and "version" in error.body, error
objects.delete_namespaced_custom_object(name="py", **where)
follower.join(30)
assert [kind for kind, name in seen if name == "py"] == ["ADDED", "MODIFIED", "DELETED"], seen

core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="c"), data={"a": "b"}))
secret = client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"k": "v"})
core.create_namespaced_secret("default", secret)
assert core.read_namespaced_secret("s", "default").data == {"k": "dg=="}
assert {item.metadata.name for item in core.list_namespaced_config_map("default").items} >= {"c"}
assert core.list_namespaced_pod("default").items is not None
assert client.VersionApi().get_code().major == "1"
print("ok")
