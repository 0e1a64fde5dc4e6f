// Package serve is linked into every function: it takes over the container's socket and gives requests to the function.
package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// The files a program is started with; see program.go of the environment.
const (
	listening = 3 + iota
	control
	outputRead
	errorRead
	outputWrite
	errorWrite
)

// Bytes of request headers. The platform's router refuses far fewer.
const maxHeaderBytes = 1 << 20

// Main serves the function that the container asks for until SIGTERM.
func Main(functions map[string]any) {
	entry, started := os.LookupEnv(entryVariable)
	if !started {
		fmt.Fprintln(os.Stderr, "this is a function; deploy it to the go environment")
		os.Exit(2)
	}
	os.Unsetenv(entryVariable)
	container := os.NewFile(control, "control")
	refuse := func(why string) {
		io.WriteString(container, why)
		os.Exit(1)
	}
	handler, err := choose(functions, entry)
	if err != nil {
		refuse(err.Error())
	}
	listener, err := net.FileListener(os.NewFile(listening, "listener"))
	if err != nil {
		refuse("the socket cannot be taken over: " + err.Error())
	}
	fresh := &fresh{connections: map[net.Conn]struct{}{}}
	server := &http.Server{Handler: &function{handler}, MaxHeaderBytes: maxHeaderBytes, ConnState: fresh.changed}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	drained := make(chan struct{})
	go func() {
		<-signals
		go fresh.close()
		server.Shutdown(context.Background())
		close(drained)
	}()
	go endWith(container)
	io.WriteString(container, "ready")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "cannot accept:", err)
		os.Exit(1)
	}
	<-drained
	output.collect()
	os.Exit(0)
}

// endWith ends this process when the container's process does.
func endWith(container *os.File) {
	io.Copy(io.Discard, container)
	os.Exit(1)
}

func choose(functions map[string]any, entry string) (http.Handler, error) {
	switch value := functions[entry].(type) {
	case nil:
	case func(http.ResponseWriter, *http.Request):
		return http.HandlerFunc(value), nil
	case func(context.Context, http.ResponseWriter, *http.Request):
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { value(r.Context(), w, r) }), nil
	case http.Handler:
		return value, nil
	default:
		return nil, fmt.Errorf("%s is a %T, which cannot serve requests; use func(http.ResponseWriter, *http.Request)", entry, value)
	}
	names := make([]string, 0, len(functions))
	for name := range functions {
		names = append(names, name)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("entry point: there is no function %s; the code has %s", entry, strings.Join(names, ", "))
}

// fresh are the connections that never sent a request: a server that ends would wait for their first one.
type fresh struct {
	mutex       sync.Mutex
	connections map[net.Conn]struct{}
}

func (f *fresh) changed(connection net.Conn, state http.ConnState) {
	if state != http.StateNew && state != http.StateActive && state != http.StateClosed && state != http.StateHijacked {
		return
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if state == http.StateNew {
		f.connections[connection] = struct{}{}
	} else {
		delete(f.connections, connection)
	}
}

func (f *fresh) close() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for connection := range f.connections {
		connection.Close()
	}
}

// function answers what every container answers and leaves the rest to the user's handler.
type function struct{ handler http.Handler }

func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == "/healthz":
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPost && (path == "/specialize" || path == "/v2/specialize"):
		http.Error(w, "Not a generic container", http.StatusBadRequest)
	default:
		id := r.Header.Get("X-Fission-Request-ID")
		output.enter(id)
		defer output.leave(id)
		answer := &answer{ResponseWriter: w}
		defer answer.recover()
		f.handler.ServeHTTP(answer, r)
	}
}

// answer knows whether something was sent, which decides how a panic is answered.
type answer struct {
	http.ResponseWriter
	sent bool
}

// recover answers a panic with 500, or breaks off what was begun, so that a part is not taken for the whole.
func (a *answer) recover() {
	reason := recover()
	if reason == nil {
		return
	}
	if reason == http.ErrAbortHandler {
		panic(reason)
	}
	fmt.Fprintf(os.Stderr, "panic: %v\n%s", reason, debug.Stack())
	if a.sent {
		panic(http.ErrAbortHandler)
	}
	for name := range a.Header() {
		a.Header().Del(name)
	}
	http.Error(a.ResponseWriter, "Internal server error", http.StatusInternalServerError)
}

func (a *answer) WriteHeader(status int) {
	// Of the informational ones only a change of protocol is the last.
	a.sent = a.sent || status >= 200 || status == http.StatusSwitchingProtocols
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(data []byte) (int, error) {
	a.sent = true
	return a.ResponseWriter.Write(data)
}

func (a *answer) WriteString(text string) (int, error) {
	a.sent = true
	return io.WriteString(a.ResponseWriter, text)
}

func (a *answer) ReadFrom(from io.Reader) (int64, error) {
	a.sent = true
	return io.Copy(a.ResponseWriter, from)
}

func (a *answer) Flush() {
	a.sent = true
	a.ResponseWriter.(http.Flusher).Flush()
}

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.sent = true
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
