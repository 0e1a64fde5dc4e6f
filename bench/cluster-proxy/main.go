// What a router of a serverless platform in Go costs at the least: the standard library's reverse proxy, with one function
// behind it and connections kept. `bench/cluster proxy` measures it beside ours.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	upstream, err := url.Parse(os.Getenv("UPSTREAM"))
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.Transport = &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000}
	log.Fatal(http.ListenAndServe(":8888", proxy))
}
