package main

import (
	"io"
	"net/http"

	"example.com/greetings/words"
	"example.com/vendored"
)

func Handler(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, words.Main)
}

// Vendored is a variable.
var Vendored http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, vendored.Word)
})

// Number is no function.
var Number = 1

func main() {}
