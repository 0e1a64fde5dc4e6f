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
	process *os.Process
	control *os.File
	outputs [2]pipe
}

// start runs an executable and waits until it serves the function that entry names.
func start(path, entry string, variables []string, listener Listener) (*Program, error) {
	program := &Program{}
	theirs, err := program.connect()
	if err != nil {
		return nil, fmt.Errorf("the program cannot be started: %w", err)
	}
	defer closeAll(theirs)
	// A variable that is there twice would keep its first value.
	theirVariables := exec.Command(path)
	theirVariables.Env = append(append(os.Environ(), variables...), "FISSION_GO_ENTRY="+entry)
	environment := theirVariables.Environ()
	if err := program.execute(path, environment, theirs[0], listener); err != nil {
		program.close()
		return nil, fmt.Errorf("%s cannot be run: %w", path, err)
	}
	closeAll(theirs)
	if err := program.untilReady(); err != nil {
		program.process.Kill()
		program.wait()
		return nil, err
	}
	return program, nil
}

// execute starts the process. os/exec would make the listening socket a blocking one, for this process as well: its accept
// would hold up the end of its listening until somebody connects.
func (p *Program) execute(path string, environment []string, control *os.File, listener Listener) error {
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer nothing.Close()
	socket, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	var pid int
	failed := socket.Control(func(listening uintptr) {
		pid, err = syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Env: environment, Files: []uintptr{
			nothing.Fd(), p.outputs[0].writing.Fd(), p.outputs[1].writing.Fd(), listening, control.Fd(),
			p.outputs[0].reading.Fd(), p.outputs[1].reading.Fd(), os.Stdout.Fd(), os.Stderr.Fd(),
		}})
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	p.process, err = os.FindProcess(pid)
	return err
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
	p.process.Signal(syscall.SIGTERM)
}

// wait gives the program's exit code, 128 and the signal's number for one that was killed, after its last output.
func (p *Program) wait() int {
	state, err := p.process.Wait()
	p.outputs[0].rest(os.Stdout)
	p.outputs[1].rest(os.Stderr)
	p.close()
	if err != nil {
		return 1
	}
	if status, known := state.Sys().(syscall.WaitStatus); known && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
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
