module fission.io/bench/cluster-proxy

go 1.24
