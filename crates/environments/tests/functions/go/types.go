package main

import "net/http"

func Handler(w http.ResponseWriter, r *http.Request) {
	var number int = "no number"
}
