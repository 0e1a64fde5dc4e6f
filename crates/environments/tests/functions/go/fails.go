package main

import "net/http"

func Handler(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Half", "done")
	panic("the reason")
}
