package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Handler says a number of bytes as people do, with a module that is not Go's own: /?bytes=82854982 is 83 MB.
func Handler(w http.ResponseWriter, r *http.Request) {
	bytes, err := strconv.ParseUint(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil {
		http.Error(w, "say how many: ?bytes=82854982", http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, humanize.Bytes(bytes))
}
