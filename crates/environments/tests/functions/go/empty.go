package main

import "net/http"

func Handler(http.ResponseWriter, *http.Request) {}
