package main

import (
	"io"
	"net/http"
	"time"
)

func Handler(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "first")
	w.(http.Flusher).Flush()
	time.Sleep(300 * time.Millisecond)
	io.WriteString(w, "second")
}
