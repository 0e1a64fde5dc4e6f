package main

import (
	"io"
	"net/http"
	"os"
)

var atLoad = os.Getenv("GREETING")

func Handler(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, atLoad+" "+os.Getenv("GREETING")+" "+os.Getenv("FROM_START"))
}
