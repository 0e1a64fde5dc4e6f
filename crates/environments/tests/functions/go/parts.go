package main

import (
	"fmt"
	"net/http"
	"time"
)

// Handler leaves behind what prints a line in two parts.
func Handler(w http.ResponseWriter, r *http.Request) {
	go func() {
		time.Sleep(20 * time.Millisecond)
		fmt.Print("one ")
		time.Sleep(20 * time.Millisecond)
		fmt.Println("two")
	}()
}
