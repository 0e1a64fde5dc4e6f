package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// Time from the start of a program until it serves; its own initialization runs in it.
	readyTimeout = 30 * time.Second
	// Bytes of a program's reason not to serve.
	maxReason = 64 << 10
	// What a program says when it serves.
	ready = "ready"
)

// Program is a function as a process. Its files are, from 3 on: the listening socket, a socket on which it says that it is
// ready or why not and whose end means that this process has ended, the reading ends of its standard output and standard
// error, and where their lines go.
type Program struct {
	command *exec.Cmd
	control *os.File
	outputs [2]pipe
}

// start runs an executable and waits until it serves the function that entry names.
func start(path, entry string, listener Listener) (*Program, error) {
	listening, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer listening.Close()
	program := &Program{command: exec.Command(path)}
	theirs, err := program.connect()
	if err != nil {
		return nil, fmt.Errorf("the program cannot be started: %w", err)
	}
	defer closeAll(theirs)
	command := program.command
	command.Env = append(os.Environ(), "FISSION_GO_ENTRY="+entry)
	command.Stdout, command.Stderr = program.outputs[0].writing, program.outputs[1].writing
	command.ExtraFiles = []*os.File{listening, theirs[0], program.outputs[0].reading, program.outputs[1].reading, os.Stdout, os.Stderr}
	if err := command.Start(); err != nil {
		program.close()
		return nil, fmt.Errorf("%s cannot be run: %w", path, err)
	}
	closeAll(theirs)
	if err := program.untilReady(); err != nil {
		command.Process.Kill()
		program.wait()
		return nil, err
	}
	return program, nil
}

// connect makes the control socket and the output pipes; what it gives back belongs to the program alone.
func (p *Program) connect() ([]*os.File, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// Not blocking, so that a deadline can be set.
	if err := syscall.SetNonblock(pair[0], true); err != nil {
		return nil, err
	}
	p.control = os.NewFile(uintptr(pair[0]), "control")
	theirs := []*os.File{os.NewFile(uintptr(pair[1]), "control")}
	for i := range p.outputs {
		if p.outputs[i], err = newPipe(); err != nil {
			p.close()
			closeAll(theirs)
			return nil, err
		}
		theirs = append(theirs, p.outputs[i].writing)
	}
	return theirs, nil
}

func (p *Program) untilReady() error {
	p.control.SetReadDeadline(time.Now().Add(readyTimeout))
	said := make([]byte, 0, 512)
	for len(said) < maxReason {
		chunk := make([]byte, 4096)
		count, err := p.control.Read(chunk)
		said = append(said, chunk[:count]...)
		if string(said) == ready {
			p.control.SetReadDeadline(time.Time{})
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the program did not serve within %v; build it with this environment's build command", readyTimeout)
		}
		if err != nil {
			break
		}
	}
	if len(said) > 0 {
		return errors.New(string(said))
	}
	return errors.New("the program ended before it served; its log says why, unless it is a Go plugin or was not built " +
		"with this environment's build command")
}

func (p *Program) terminate() {
	p.command.Process.Signal(syscall.SIGTERM)
}

// wait gives the program's exit code, 128 and the signal's number for one that was killed, after its last output.
func (p *Program) wait() int {
	p.command.Wait()
	p.outputs[0].rest(os.Stdout)
	p.outputs[1].rest(os.Stderr)
	p.close()
	status, known := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if known && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.command.ProcessState.ExitCode()
}

func (p *Program) close() {
	p.control.Close()
	for _, output := range p.outputs {
		if output.reading != nil {
			output.reading.Close()
		}
	}
}

// pipe is one that blocks its writer and not its readers.
type pipe struct{ reading, writing *os.File }

func newPipe() (pipe, error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return pipe{}, err
	}
	return pipe{os.NewFile(uintptr(ends[0]), "output"), os.NewFile(uintptr(ends[1]), "output")}, nil
}

// rest copies what is left of the output of a program that has ended.
func (p pipe) rest(to io.Writer) {
	fd := int(p.reading.Fd())
	// Something the program started may still hold the other end.
	syscall.SetNonblock(fd, true)
	buffer := make([]byte, 64<<10)
	for {
		count, err := syscall.Read(fd, buffer)
		if err == syscall.EINTR {
			continue
		}
		if count <= 0 {
			return
		}
		to.Write(buffer[:count])
	}
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// dialerOf connects to a listening socket, whoever accepts from it.
func dialerOf(listener net.Listener) func(context.Context, string, string) (net.Conn, error) {
	network, address := listener.Addr().Network(), listener.Addr().String()
	if network == "tcp" {
		address = net.JoinHostPort("127.0.0.1", address[strings.LastIndexByte(address, ':')+1:])
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}
