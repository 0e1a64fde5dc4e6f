// The go environment: a generic container that takes one function, as source or as a built program, and runs it.
//
//	server                        serve until SIGTERM
//	server build SOURCE PROGRAM   compile a function the way a container would; what a builder runs
//
// Start reading in container.go (the protocol), then code.go and build.go (from code to a program) and program.go (the
// program as a process). serve/ is linked into every function.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// Bytes of request headers. The platform's router refuses far fewer.
const maxHeaderBytes = 1 << 20

func main() {
	if len(os.Args) == 4 && os.Args[1] == "build" {
		if err := buildTo(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "usage: server, or server build SOURCE PROGRAM")
		os.Exit(2)
	}
	os.Exit(run())
}

// run serves until told to end and gives the exit code.
func run() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	listener, err := listen()
	if err != nil {
		fmt.Fprintln(os.Stderr, "go environment: cannot listen:", err)
		return 1
	}
	ended := make(chan int, 1)
	container := &Container{listener: listener, ended: ended}
	server := &http.Server{Handler: container, MaxHeaderBytes: maxHeaderBytes}
	go func() {
		// Closing the listener is how the container hands it to the program.
		if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(os.Stderr, "go environment: cannot accept:", err)
			ended <- 1
		}
	}()
	for {
		select {
		case <-signals:
			if !container.terminate() {
				return 0
			}
		case code := <-ended:
			return code
		}
	}
}

// Listener is what both kinds of listening socket can do.
type Listener interface {
	net.Listener
	SyscallConn() (syscall.RawConn, error)
}

// listen binds the unix socket FISSION_SOCKET if it is set, else TCP on RUNTIME_PORT.
func listen() (Listener, error) {
	path := os.Getenv("FISSION_SOCKET")
	if path == "" {
		port := os.Getenv("RUNTIME_PORT")
		if port == "" {
			port = "8888"
		}
		listener, err := net.Listen("tcp", "0.0.0.0:"+port)
		if err != nil {
			return nil, err
		}
		return listener.(*net.TCPListener), nil
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The program goes on listening where this process stops.
	listener.SetUnlinkOnClose(false)
	// The folder of the socket decides who may connect; the one who connects may be another user than this one.
	return listener, os.Chmod(path, 0o777)
}
