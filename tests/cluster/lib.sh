# What the scripts of the test cluster share; sourced, never run.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/fission-cluster"
bin="$cache/bin"
states="${FISSION_CLUSTER_STATE:-/tmp/fission-cluster}"

fail() { echo "$*" >&2; exit 1; }

# Everything here makes namespaces, mounts and devices.
need_root() { [ "$(id -u)" = 0 ] || fail "the test cluster needs root; with KUBECONFIG set, the tests use that cluster instead"; }

# Sets `name`, `state` and what is derived from them.
cluster() {
    name=$1 state="$states/$1"
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$ ]] || fail "$name: a cluster's name is of a-z, 0-9 and -, 30 at most"
    # These folders are private inside the cluster, so a state below them would be hidden from it.
    case $states in /run/* | /var/lib/* | /var/log/* | /var/run/*) fail "$states: choose a FISSION_CLUSTER_STATE outside /run and /var" ;; esac
    cgroup="fission-cluster-$name"
    kubeconfig="$state/kubeconfig"
}

# The optional first argument NAME of load, exec and fault: a cluster there is. Sets `shifted`.
cluster_of_arguments() {
    shifted=0
    if [ $# -gt 0 ] && [[ $1 =~ ^[a-z0-9-]+$ ]] && [ -d "$states/$1" ]; then
        cluster "$1"
        shifted=1
    else
        cluster test
    fi
    running || fail "no cluster named $name runs; start it with tests/cluster/up $name"
}

# The pid, here, of the first process inside the cluster. Guards against a pid that another process has by now.
first_process() {
    local pid
    pid=$(cat "$state/init.pid" 2>/dev/null) || return 1
    grep -qzxF -- "$state" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}

running() { first_process >/dev/null; }

# Runs a command inside the cluster's namespaces, with nothing of our environment that would lead it astray (proxies).
inside() {
    local pid
    pid=$(first_process) || fail "no cluster named $name runs"
    nsenter --target "$pid" --net --mount --pid --uts --ipc -- env -i "PATH=$bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root \
        KUBECONFIG="$kubeconfig" TERM="${TERM:-dumb}" "$@"
}

# The folders of the cluster's cgroup: one for each hierarchy of version 1, or the one of version 2.
cgroup_hierarchies() {
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; return; fi
    local folder
    for folder in /sys/fs/cgroup/*/; do
        if [ -f "$folder/cgroup.procs" ] && [ ! -L "${folder%/}" ]; then echo "${folder%/}"; fi
    done
}
