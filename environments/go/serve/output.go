package serve

import (
	"bytes"
	"os"
	"sync"
	"syscall"
)

const (
	entryVariable = "FISSION_GO_ENTRY"
	// Stands around the request's id at the start of a line.
	separator = "\x1e"
)

// output passes on what the program prints and marks lines with the request they were printed for. Which goroutine printed
// a line cannot be known, so lines are marked while exactly one request is served.
//
// Another goroutine may end the program at any moment, and then the container, which has the reading ends too, passes on
// what is still in the pipes. So only lines that were passed on are taken out of their pipe: at worst the last ones come
// twice, never not at all.
var output = &lines{}

func init() {
	if _, started := os.LookupEnv(entryVariable); !started {
		return
	}
	for _, descriptor := range []int{listening, control, outputRead, errorRead, outputWrite, errorWrite} {
		syscall.CloseOnExec(descriptor)
	}
	output.streams = []*stream{newStream(outputRead, 1, outputWrite), newStream(errorRead, 2, errorWrite)}
	for _, s := range output.streams {
		go output.follow(s)
	}
}

type lines struct {
	mutex   sync.Mutex
	streams []*stream
	// Requests being served, by id; those without one are counted under "".
	active map[string]int
	count  int
	prefix string
}

// stream is standard output or standard error.
type stream struct {
	from *os.File
	fd   int
	// Where the program prints to.
	end int
	// Where a copy of what is in the pipe is read, and where it is put.
	copy   [2]int
	buffer []byte
	to     *os.File
	// The start of a line that has not ended, which is left in the pipe: its bytes, and the mark it will have.
	started int
	mark    string
}

func newStream(from, end, to uintptr) *stream {
	// Read without waiting: the end of a request must not.
	syscall.SetNonblock(int(from), true)
	s := &stream{
		from: os.NewFile(from, "output"), fd: int(from), end: int(end), to: os.NewFile(to, "log"),
		buffer: make([]byte, 64<<10),
	}
	if err := syscall.Pipe2(s.copy[:], syscall.O_CLOEXEC); err != nil {
		panic(err)
	}
	return s
}

// enter begins a request: what was printed before is not its own.
func (l *lines) enter(id string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	if l.active == nil {
		l.active = map[string]int{}
	}
	l.active[id]++
	l.count++
	l.mark()
}

// leave ends a request: what was printed before is its own.
func (l *lines) leave(id string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	l.count--
	if l.active[id]--; l.active[id] == 0 {
		delete(l.active, id)
	}
	l.mark()
}

func (l *lines) mark() {
	l.prefix = ""
	if l.count == 1 {
		for id := range l.active {
			if id != "" {
				l.prefix = separator + id + separator
			}
		}
	}
}

func (l *lines) collect() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	for _, s := range l.streams {
		line := make([]byte, s.started)
		s.started = 0
		if readFull(s.fd, line) {
			s.passOn(line, "")
		}
	}
}

func (l *lines) collectLocked() {
	for _, s := range l.streams {
		s.read(l.prefix)
	}
}

// follow passes lines on as they come, while no request begins or ends.
func (l *lines) follow(s *stream) {
	connection, err := s.from.SyscallConn()
	if err != nil {
		return
	}
	connection.Read(func(uintptr) bool {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		s.read(l.prefix)
		return false
	})
}

// read passes on the lines that have ended.
func (s *stream) read(prefix string) {
	for {
		printed := s.look()
		if printed == nil {
			return
		}
		ended := bytes.LastIndexByte(printed, '\n') + 1
		if ended == 0 && s.full() {
			ended = len(printed)
		}
		if s.started == 0 {
			s.mark = prefix
		}
		s.passOn(printed[:ended], prefix)
		if ended > 0 {
			s.mark = prefix
		}
		s.started = len(printed) - ended
		if !readFull(s.fd, printed[:ended]) {
			return
		}
	}
}

// look gives what is in the pipe, if there is more than the last time or room for no more.
func (s *stream) look() []byte {
	const notWaiting = 2 // SPLICE_F_NONBLOCK, which package syscall has no name for
	count, err := syscall.Tee(s.fd, s.copy[1], len(s.buffer), notWaiting)
	if err != nil || count <= 0 {
		return nil
	}
	printed := s.buffer[:count]
	if !readFull(s.copy[0], printed) || len(printed) <= s.started && !s.full() {
		return nil
	}
	return printed
}

// full tells whether a line that has not ended has no room to go on.
func (s *stream) full() bool {
	var writable syscall.FdSet
	writable.Bits[0] = 1 << s.end
	ready, err := syscall.Select(s.end+1, nil, &writable, nil, &syscall.Timeval{})
	return err != nil || ready == 0
}

// readFull reads what is known to be there.
func readFull(fd int, data []byte) bool {
	for len(data) > 0 {
		count, err := syscall.Read(fd, data)
		if err != syscall.EINTR && count <= 0 {
			return false
		}
		data = data[max(count, 0):]
	}
	return true
}

// passOn writes lines. The first one may have begun earlier than the others.
func (s *stream) passOn(lines []byte, prefix string) {
	var marked []byte
	for mark := s.mark; len(lines) > 0; mark = prefix {
		end := bytes.IndexByte(lines, '\n') + 1
		if end == 0 {
			lines, end = append(lines, '\n'), len(lines)+1
		}
		marked = append(append(marked, mark...), lines[:end]...)
		lines = lines[end:]
	}
	if len(marked) > 0 {
		s.to.Write(marked)
	}
}
