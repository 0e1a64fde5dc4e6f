package main

import (
	"encoding/json"
	"log"
	"net/http"

	"example.com/greetings/words"
)

// Greet is an entry point: fission function create --entrypoint Greet ...
func Greet(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		http.Error(w, "say who: ?name=Ada", http.StatusBadRequest)
		return
	}
	log.Printf("greeting %s", name)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"greeting": words.Hello(r.URL.Query().Get("lang"), name)})
}
