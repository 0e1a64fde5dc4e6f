package main

import (
	"context"
	"io"
	"net/http"
)

// Hello takes a context, too.
func Hello(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "from a folder")
}
