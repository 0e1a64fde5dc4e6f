package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
)

const (
	unspecialized = "Generic container: no requests supported"
	twice         = "Not a generic container"
	// Where version 1 of the protocol keeps its code.
	v1CodePath = "/userfunc/user"
	// The function where the entry point names none.
	defaultEntry = "Handler"
	// Bytes of a specialize request; it holds the metadata of one object and at most 1 MiB of variables.
	maxSpecializeBytes = 4 << 20
)

// Container is one container: generic, then with its program.
type Container struct {
	listener Listener
	// Gets the exit code when the program ends.
	ended chan<- int

	loading sync.Mutex
	mutex   sync.Mutex
	program *Program
	proxy   http.Handler
}

// Load is what matters here of a version 2 specialize request; other fields are ignored.
type Load struct {
	Filepath     string `json:"filepath"`
	FunctionName string `json:"functionName"`
	// Environment variables of the function; null is not a text.
	Env map[string]*string `json:"env"`
}

// variables gives the function's environment variables as a process takes them.
func (l *Load) variables() ([]string, error) {
	variables := make([]string, 0, len(l.Env))
	for name, value := range l.Env {
		if value == nil || name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(*value, "\x00") {
			return nil, fmt.Errorf("env must be names with strings, which %q is not", name)
		}
		variables = append(variables, name+"="+*value)
	}
	return variables, nil
}

func (c *Container) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		text(w, http.StatusOK, "")
	case r.Method == http.MethodPost && r.URL.Path == "/specialize":
		c.specialize(w, Load{Filepath: v1CodePath})
	case r.Method == http.MethodPost && r.URL.Path == "/v2/specialize":
		var load Load
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSpecializeBytes)).Decode(&load); err != nil {
			text(w, http.StatusBadRequest, "the specialize request cannot be read: "+err.Error())
			return
		}
		c.specialize(w, load)
	default:
		_, proxy := c.state()
		if proxy == nil {
			text(w, http.StatusInternalServerError, unspecialized)
			return
		}
		// A connection that was open before the program was there.
		proxy.ServeHTTP(w, r)
	}
}

func (c *Container) state() (*Program, http.Handler) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.program, c.proxy
}

func (c *Container) specialize(w http.ResponseWriter, load Load) {
	c.loading.Lock()
	defer c.loading.Unlock()
	if program, _ := c.state(); program != nil {
		text(w, http.StatusBadRequest, twice)
		return
	}
	variables, err := load.variables()
	if err != nil {
		text(w, http.StatusBadRequest, "the specialize request cannot be read: "+err.Error())
		return
	}
	program, err := c.load(load, variables)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		text(w, http.StatusInternalServerError, err.Error())
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "function"
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{DialContext: dialerOf(c.listener), DisableCompression: true},
		// Every chunk at once.
		FlushInterval: -1,
	}
	c.mutex.Lock()
	c.program, c.proxy = program, proxy
	c.mutex.Unlock()
	// New connections are the program's from here on; this one is not worth keeping.
	c.listener.Close()
	w.Header().Set("Connection", "close")
	text(w, http.StatusOK, "")
	go func() { c.ended <- program.wait() }()
}

// load makes a running program of the code.
func (c *Container) load(load Load, variables []string) (*Program, error) {
	entry := load.FunctionName
	if entry == "" {
		entry = defaultEntry
	}
	work, err := os.MkdirTemp("", "function-")
	if err != nil {
		return nil, fmt.Errorf("no place for the program: %w", err)
	}
	// A running program needs its file no more.
	defer os.RemoveAll(work)
	path, err := makeProgram(load.Filepath, work)
	if err != nil {
		return nil, err
	}
	return start(path, entry, variables, c.listener)
}

// terminate passes the wish to end on to the program and tells whether there is one.
func (c *Container) terminate() bool {
	program, _ := c.state()
	if program != nil {
		program.terminate()
	}
	return program != nil
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, body)
}
