package main

import (
	"io"
	"net/http"
)

// Handler answers every request.
func Handler(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "Hello, world!\n")
}
