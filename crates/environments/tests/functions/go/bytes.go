package main

import "net/http"

func Handler(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i)
	}
	w.Write(body)
}
