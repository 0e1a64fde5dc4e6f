package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// Handler ends the whole program, once the file named by WAIT_FOR is there.
func Handler(w http.ResponseWriter, r *http.Request) {
	fmt.Println("last words" + strings.Repeat(" and more", 1000))
	for path := os.Getenv("WAIT_FOR"); path != ""; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
	}
	os.Exit(3)
}
