package main

import (
	"fmt"
	"net/http"
	"os"
)

func Handler(w http.ResponseWriter, r *http.Request) {
	fmt.Println("one\ntwo")
	fmt.Fprintln(os.Stderr, "three")
}
